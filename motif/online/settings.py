"""Settings of labels while training: which reward, and the judge's flags, which are stage 1's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motif.annotate.config import AnnotationConfig
from motif.errors import ConfigError
from motif.online.learner import KINDS
from motif.pairs_dataset import ORIGIN

# Flags of scripts.annotate_pairs_dataset that say who judges, and how it is asked. What is missing
# is of a dataset (chunks, estimates, status lines), or means something else where agents train.
_JUDGE = (
    "annotator_type goal_key rules_file model backend num_gpus dtype max_model_len engine_args "
    "base_url extra_body extra_headers extra_query chat_template_kwargs api_key_env timeout "
    "server_patience prompt_version prompt_file system_prompt answer_mode tie_margin top_logprobs "
    "min_mass temperature top_p top_k max_new_tokens cache_dir"
)
JUDGE = tuple(_JUDGE.split())
ONI = {  # https://github.com/facebookresearch/oni and arXiv 2410.23022
    "llm_reward": 0.4,
    "extrinsic_reward": 10.0,
    "beta_count_exponent": 3.0,
    "temperature": 0.1,
    "model": "meta-llama/Llama-3.1-8B-Instruct",
}
PRESETS = {"oni": ONI}
ONI_SCORE = {"extrinsic_reward": 0.1}  # where the task is the score


@dataclass(frozen=True)
class OnlineSettings:
    """What the labeller of a run works with."""

    kind: str  # one of KINDS
    folder: Path  # online of the run
    annotation: AnnotationConfig
    most_labels: int  # pairs
    seed: int
    reward_dir: str = ""  # a reward model to begin with
    checkpoint_num: int = 0
    caption: str = ORIGIN["caption"]

    @property
    def origin(self) -> dict[str, str]:
        """What a reward or a dataset of it is of."""
        return {"game": self.annotation.game, "caption": self.caption}


def online_folder(cfg: Any) -> Path:
    """Where labels and reward of a run are."""
    return Path(cfg.train_dir, cfg.experiment, "online")


def read_settings(cfg: Any) -> OnlineSettings:
    """Of a run's settings.

    Raises:
        ConfigError: the judge's settings do not go together.
    """
    folder = online_folder(cfg)
    judge = {name: getattr(cfg, name) for name in JUDGE}
    for name in ("rules_file", "prompt_file", "cache_dir"):
        judge[name] = judge[name] and Path(judge[name])
    if judge["answer_mode"] == "rating" and judge["tie_margin"] is None:
        judge["tie_margin"] = 0.0  # a share of the pairs would be one of all, which are to come
    annotation = AnnotationConfig(directory=folder / "dataset", game=cfg.game, **judge)
    start = cfg.reward_dir, cfg.checkpoint_num
    seed = 777 if cfg.seed is None else cfg.seed
    most = cfg.online_labels
    return OnlineSettings(cfg.online, folder, annotation, most, seed, *start, cfg.caption)


def problems(cfg: Any) -> Iterator[str]:
    """What of a run's settings can't work."""
    if not cfg.online:
        for name in ("online_preset", *JUDGE):
            if name in cfg.cli_args and cfg.cli_args[name] is not None:
                yield f"--{name} {cfg.cli_args[name]} is of --online {'|'.join(KINDS)}; give both"
        return
    if cfg.online not in KINDS:
        yield f"--online {cfg.online}: there are {', '.join(KINDS)}"
    if cfg.online_preset not in ("", *PRESETS):
        yield f"--online_preset {cfg.online_preset}: there is {', '.join(PRESETS)}"
    if not cfg.llm_reward:
        yield f"--online {cfg.online} needs --llm_reward, the coefficient of what is learnt"
    if cfg.annotator_type == "llama" and not cfg.model:
        yield (
            f"--online {cfg.online} needs a judge: --model NAME, with --backend openai --base-url "
            "URL for a server's; or --annotator-type rules"
        )
    if cfg.annotator_type in ("score", "return"):
        yield f"--annotator-type {cfg.annotator_type} judges whole games; --online needs messages"
    if cfg.restart_behavior != "resume":
        afresh = "--online begins afresh as --experiment NEW"
        yield f"--restart_behavior {cfg.restart_behavior}: {afresh}"
    if cfg.backend == "batch":
        yield "--backend batch answers in a later run; --online needs a server or an engine"
    try:
        read_settings(cfg)
    except ConfigError as error:
        yield str(error)


def preset(cfg: Any) -> dict[str, Any]:
    """The values of ``--online_preset`` that the command line leaves open."""
    values = dict(PRESETS.get(cfg.online_preset, {}))
    if values and cfg.root_env == "NetHackScore-v1":
        values |= ONI_SCORE
    return {name: value for name, value in values.items() if name not in cfg.cli_args}
