"""The adapter to Sample Factory 2.1.1, and the only importer of it.

Sample Factory spawns its processes; each of them imports this package when it unpickles the
environment and model factories, which is why the compatibility fixes are applied here.
"""

from motif.errors import MissingPackageError

try:
    import sample_factory  # noqa: F401
except ImportError:
    raise MissingPackageError(
        "training an agent needs sample-factory, which is not installed; "
        "run: pip install -e '.[rl]'"
    ) from None

from sample_factory_ext import compatibility  # noqa: F401
