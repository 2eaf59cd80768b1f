"""NetHack, the first tenant. Importing this package registers its tasks with Gymnasium.

``gymnasium.make("NetHackScore-v1")`` makes one; only then is NLE imported.
"""

import contextlib

from motif.games.nethack.tasks import TASKS

with contextlib.suppress(ImportError):  # without Gymnasium there is nothing to register with
    import gymnasium

    for _name in TASKS:
        if _name not in gymnasium.registry:
            gymnasium.register(
                id=_name,
                entry_point="motif.games.nethack.environment:NetHackTask",
                kwargs={"task": _name},
                order_enforce=False,  # its wrapper would hide seed(core, disp, reseed)
                disable_env_checker=True,
            )

__all__ = ["TASKS"]
