"""The adapter to Sample Factory 2.1.1, and the only importer of it.

Sample Factory spawns its processes; each of them imports this package when it unpickles the
environment and model factories, which is why the compatibility fixes are applied here.
"""

from importlib import util

from motif.errors import MissingPackageError

if util.find_spec("sample_factory") is None:
    # Beside NLE, it alone is missing where pip can't resolve it.
    missing = "-e '.[rl]'" if util.find_spec("nle") is None else "--no-deps sample-factory==2.1.1"
    raise MissingPackageError(
        "training an agent needs sample-factory, which is not installed; "
        f"run: pip install {missing}"
    )

from sample_factory_ext import compatibility  # noqa: F401
