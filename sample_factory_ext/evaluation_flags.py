"""Sample Factory's flags for evaluation, which its users type by habit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motif.cli import option
from motif.errors import ConfigError

LAST = "visualize plays the last checkpoint of the run's first policy"
# Another value of these cannot be had: the flag, what it may be, and why.
REFUSED: dict[str, tuple[Any, str]] = {
    "load_checkpoint_kind": ("latest", f"{LAST}; runs keep no best one"),
    "policy_index": (0, LAST),
    "eval_deterministic": (False, "actions are sampled, as in training"),
    "eval_env_frameskip": (1, "a step of the game is a step of the agent"),
    "push_to_hub": (False, "nothing is uploaded; scripts.export_model makes a model to share"),
}


@dataclass(frozen=True)
class EvaluationFlags:
    """Flags that Sample Factory's own evaluation has; the first seven stand for ones of ours."""

    no_render: bool = option(False, "the same as --render False")
    save_video: bool = option(False, "the same as --gif replay.gif in the run's folder, undrawn")
    video_name: str | None = option(None, "with --save_video: another name than replay.gif")
    video_frames: int | None = option(None, "the same as --gif_steps; -1: the whole episode")
    max_num_episodes: int | None = option(None, "the same as --num_episodes")
    fps: int = option(0, "the same as --sleep 1/FPS")
    max_num_frames: int | None = option(None, "begin no episode after so many steps")
    load_checkpoint_kind: str = option("latest", "there is no other")
    policy_index: int = option(0, "there is no other")
    eval_deterministic: bool = option(False, "there is no other")
    eval_env_frameskip: int = option(1, "there is no other")
    push_to_hub: bool = option(False, "there is no other")
    hf_repository: str | None = option(None, "accepted; nothing is uploaded")
    train_script: str | None = option(None, "accepted; nothing is uploaded")
    enjoy_script: str | None = option(None, "accepted; nothing is uploaded")

    def refuse_others(self) -> None:
        """Explain what cannot be had.

        Raises:
            ConfigError: the flag, its value, why, and what to do.
        """
        for name, (known, reason) in REFUSED.items():
            if getattr(self, name) != known:
                raise ConfigError(f"--{name} {getattr(self, name)}: {reason}; leave it out")

    def as_ours(self, run_folder: Path) -> dict[str, Any]:
        """What the flags say in the words of ``scripts.visualize``."""
        ours: dict[str, Any] = {}
        if self.no_render or self.save_video:
            ours["render"] = False
        if self.save_video:
            name = Path(self.video_name or "replay").with_suffix(".gif")
            ours["gif"] = run_folder / name
        if self.video_frames is not None:
            ours["gif_steps"] = 10**9 if self.video_frames == -1 else self.video_frames
        if self.max_num_episodes is not None:
            ours["num_episodes"] = self.max_num_episodes
        if self.fps:
            ours["sleep"] = 1 / self.fps
        return ours
