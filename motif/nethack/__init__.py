"""NetHack: the tasks as Gymnasium environments, observations, the intrinsic reward.

Importing this package registers the tasks of :data:`motif.nethack.tasks.TASKS`;
``gymnasium.make("NetHackScore-v1")`` makes one.
"""

from motif.errors import MissingPackageError

try:
    import gymnasium
    import nle  # noqa: F401
except ImportError as error:
    raise MissingPackageError(
        f"NetHack needs {error.name}, which is not installed; run: pip install -e '.[rl]'"
    ) from None

from motif.nethack.tasks import TASKS

for _name in TASKS:
    if _name not in gymnasium.registry:
        gymnasium.register(
            id=_name,
            entry_point="motif.nethack.tasks:NetHackTask",
            kwargs={"task": _name},
            order_enforce=False,  # its wrapper would hide seed(core, disp, reseed)
            disable_env_checker=True,
        )

__all__ = ["TASKS"]
