"""The process of llama.cpp's servers; it ends when its input does.

Run by its path, with one argument: a JSON object of model, name, servers, threads and length.
Prints the servers' addresses as a JSON list once they are up.
"""

import json
import os
import sys


def main(settings: str) -> None:
    """Serve until the input is closed."""
    import xllamacpp

    asked = json.loads(settings)
    servers = []
    for _ in range(asked["servers"]):
        params = xllamacpp.CommonParams()
        params.model.path, params.model_alias = asked["model"], {asked["name"]}
        params.n_parallel, params.n_ctx, params.fit_params = 1, asked["length"], False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
        params.cache_ram_mib = 0  # by default up to 8 GB of prompts that were asked before
        params.ui, params.verbosity = False, 1  # errors only
        # What is not sent is not done, as with vLLM.
        params.sampling.temp = params.sampling.top_p = 1.0
        params.sampling.top_k, params.sampling.min_p = 0, 0.0
        servers.append(xllamacpp.Server(params))
    print(json.dumps([server.listening_address for server in servers]), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
