"""The process of llama.cpp's servers; it ends when its input does.

Run by its path, with one argument: a JSON object of model, name, servers, threads and length.
Prints the servers' addresses once they are up, as a JSON list: one for each request at once.
"""

import json
import os
import sys

SLOTS = 4  # of the one server that has a GPU


def main(settings: str) -> None:
    """Serve until the input is closed."""
    import xllamacpp

    asked = json.loads(settings)
    has_gpu = any("GPU" in device["type"].name for device in xllamacpp.get_device_info())
    slots = SLOTS if has_gpu else 1
    servers = []
    for _ in range(1 if has_gpu else asked["servers"]):
        params = xllamacpp.CommonParams()
        params.model.path, params.model_alias = asked["model"], {asked["name"]}
        params.n_parallel, params.n_ctx, params.fit_params = slots, slots * asked["length"], False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
        params.cache_ram_mib = 0  # by default up to 8 GB of prompts that were asked before
        params.ui, params.verbosity = False, 1  # errors only
        # What is not sent is not done, as with vLLM.
        params.sampling.temp = params.sampling.top_p = 1.0
        params.sampling.top_k, params.sampling.min_p = 0, 0.0
        servers.append(xllamacpp.Server(params))
    print(json.dumps(slots * [server.listening_address for server in servers]), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
