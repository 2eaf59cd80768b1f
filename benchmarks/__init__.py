from motif.cores import settle_threads

settle_threads()  # as the commands do
