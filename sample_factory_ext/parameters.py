"""The RL command line: the release's names, the paper's defaults, what has no effect.

Sample Factory's own parser stays in charge. This module adds Motif's flags, overrides defaults
(docs/differences.md, "Training"), and translates names that changed
between Sample Factory 1 and 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import typing
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args

from motif.annotate.config import AnnotationConfig
from motif.cli import add_options, boolean
from motif.errors import ConfigError
from motif.games.caption import steps_told
from motif.games.episode_trace import VISITS
from motif.intrinsic.terms import make_bonus
from motif.online.settings import JUDGE, preset, problems
from sample_factory_ext.encoder import CONVOLUTIONS, ENCODERS
from sample_factory_ext.settings import REWARD_ENCODER, MotifSettings, RLSettings

ENVIRONMENT = "nle_fixed_eat_action"
NEVER = 10**9

# The release's command-line name → where the value goes here.
RENAMED = {
    "reward_scale": "extrinsic_scale",
    "reward_clip": "extrinsic_clip",
    "obs_scale": "picture_scale",
    "hidden_size": "rnn_size",
    "encoder_subtype": "encoder_conv_architecture",
    "ppo_epochs": "num_epochs",
    "num_batches_per_iteration": "num_batches_per_epoch",
    "num_minibatches_to_accumulate": "num_batches_to_accumulate",
    "wandb": "with_wandb",
}

# Where Sample Factory's own defaults are not the release's.
DEFAULTS: dict[str, Any] = {
    "env": ENVIRONMENT,
    "train_dir": "train_dir/rl_saving_dir",
    "with_vtrace": True,
    "normalize_input": False,
    "normalize_returns": False,  # refused by Sample Factory together with V-trace
    "reward_clip": float(NEVER),  # the environment scales and clips, see extrinsic_clip
    "max_policy_lag": 10_000,
    "recurrence": 32,
    "keep_checkpoints": 3,
    "decorrelate_experience_max_seconds": 10,
    "force_envs_single_thread": True,
    "save_every_sec": NEVER,  # save_every_steps does it
    "save_best_every_sec": NEVER,  # the release keeps no best policy
    "save_best_after": 10**18,
    "seed": 777,  # the release has none, and crashes without
}

# Accepted, without effect: why, and the flags.
REASONS = {
    "it had none in the release": "pop_bl checkpoint_id msg_count_bonus",
    "the picture is always read by convolutions": "encoder_type",
    "the policy's encoder has no final activation": "encoder_final_activ",
    "reward models read messages, not the map": (
        "encoder_crop_dim encoder_num_layers use_crop use_glyphs"
    ),
    "the reward checkpoint says so itself": "use_blstats",
    "Sample Factory 2 has no such option": (
        "use_spectral_norm use_cpc cpc_forward_steps cpc_time_subsample cpc_forward_subsample "
        "pbt_optimize_batch_size"
    ),
    "Sample Factory 2 sizes its buffers itself": "traj_buffers_excess_ratio",
    "Sample Factory 2 watches its workers' heartbeats": "reset_timeout_seconds",
    "Sample Factory 2 trains in a process of its own": "train_in_background_thread",
    "the learner uses one thread": "learner_main_loop_num_cores",
    "use benchmarks.rl_throughput": "sampler_only",
    "use --train_dir": "experiments_root",
    "tasks last 5,000 steps": "custom_env_episode_len",
    "use scripts.visualize": "render_action_repeat",
    "use --save_ttyrec_every": "record_to",
    "actions are discrete": "continuous_actions_sample",
}
NO_EFFECT = {name: reason for reason, names in REASONS.items() for name in names.split()}


def parse_rl_args(argv: Sequence[str] | None = None) -> RLSettings:
    """Parse an RL command line, of the release or ours, into Sample Factory's namespace.

    Raises:
        ConfigError: a value that cannot work.
        SystemExit: an unknown flag or a malformed value, after argparse's usual message.
    """
    cfg = read_flags(argv)
    check_settings(cfg)
    return cfg


def read_flags(argv: Sequence[str] | None) -> RLSettings:
    """Parse a command line that the stored settings of a run may have to complete."""
    argv = [_translate(word) for word in (sys.argv[1:] if argv is None else argv)]
    if not any(word == "--env" or word.startswith("--env=") for word in argv):
        argv = ["--env", ENVIRONMENT, *argv]  # Sample Factory asks before defaults can apply
    parser, _ = parse_sf_args(["--env", ENVIRONMENT])  # the line itself: below
    _adapt(parser)
    cfg: RLSettings = parse_full_cfg(parser, argv)
    for name in NO_EFFECT:
        if name in cfg.cli_args:
            print(f"note: --{name} has no effect here: {NO_EFFECT[name]}", file=sys.stderr)
    meant: dict[str, Any] = {}
    if cfg.num_batches_to_accumulate == -1:  # the release's way to say: twice an iteration's
        meant["num_batches_to_accumulate"] = 2 * cfg.num_batches_per_epoch
    if cfg.pbt_target_objective == "true_reward":  # its name in Sample Factory 1
        meant["pbt_target_objective"] = "true_objective"
    meant |= {k: str(v) for k, v in vars(cfg).items() if isinstance(v, Path)}
    meant |= preset(cfg)
    vars(cfg).update(meant)
    cfg.cli_args.update(meant)
    return cfg


def _translate(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    name = name.replace("-", "_")
    return f"--{RENAMED.get(name, name)}{equals}{value}"


def released_name(name: str) -> str:
    """The name of a setting on the command line, as ``scripts.main --help`` and the release say."""
    return {ours: theirs for theirs, ours in RENAMED.items()}.get(name, name)


def _adapt(parser: argparse.ArgumentParser) -> None:
    """Add Motif's flags and those without effect; make Sample Factory's mean what they should."""
    parser.allow_abbrev = False
    for action in parser._actions:
        if action.dest == "device":
            action.choices, action.default = ["auto", "gpu", "cpu"], "auto"
            action.help = "auto: the GPU if there is one"
        elif action.dest in ("reward_scale", "reward_clip", "obs_scale"):
            action.help = f"the same as --{RENAMED[action.dest]} on our command line"
        elif getattr(action.type, "__name__", "") == "str2bool":
            action.type = boolean  # theirs knows neither 0 nor no
    known = {action.dest for action in parser._actions}
    parser.set_defaults(**{name: value for name, value in DEFAULTS.items() if name in known})
    hints = typing.get_type_hints(MotifSettings)
    for field in dataclasses.fields(MotifSettings):
        kind, *_ = typing.get_args(hints[field.name]) or (hints[field.name],)
        kind = boolean if kind is bool else kind
        text = field.metadata["help"]
        parser.add_argument(f"--{field.name}", default=field.default, type=kind, help=text)
    add_options(parser, AnnotationConfig, JUDGE)
    for name, reason in NO_EFFECT.items():
        parser.add_argument(f"--{name}", default=None, type=str, help=f"no effect: {reason}")


AT_LEAST_1 = (
    *("num_workers", "num_envs_per_worker", "worker_num_splits", "num_policies", "batch_size"),
    *("rollout", "num_epochs", "num_batches_per_epoch", "num_batches_to_accumulate"),
    *("train_for_env_steps", "save_every_steps", "keep_checkpoints", "stats_avg"),
    *("rnd_features", "e3b_features", "online_labels"),
)


def check_settings(cfg: RLSettings) -> None:
    """Refuse what cannot work.

    Raises:
        ConfigError: the flag, its value, and what it may be.
    """
    for problem in chain(_wrong_numbers(cfg), _wrong_names(cfg), _wrong_combinations(cfg)):
        raise ConfigError(problem)


def _wrong_numbers(cfg: RLSettings) -> Iterator[str]:
    for name in AT_LEAST_1:
        if getattr(cfg, name) < 1:
            yield f"--{name} {getattr(cfg, name)}: at least 1 is needed"
    for name in ("bonus_learning_rate", "e3b_ridge"):
        if not 0 < getattr(cfg, name) < math.inf:
            yield f"--{name} {getattr(cfg, name)}: it must be more than 0"
    for name in ("bonus_reward", "noveld_alpha"):
        if not 0 <= getattr(cfg, name) < math.inf:
            yield f"--{name} {getattr(cfg, name)}: a number, 0 or more"
    if cfg.eps_threshold_value is not None and not math.isfinite(cfg.eps_threshold_value):
        yield f"--eps_threshold_value {cfg.eps_threshold_value}: a number is needed"
    if not cfg.picture_scale > 0:
        yield f"--obs_scale {cfg.picture_scale}: it must be more than 0"
    if not cfg.extrinsic_clip > 0:
        yield f"--reward_clip {cfg.extrinsic_clip}: it must be more than 0"


def _wrong_names(cfg: RLSettings) -> Iterator[str]:
    if cfg.algo != "APPO":
        yield f"--algo {cfg.algo}: only APPO is supported"
    if cfg.env != ENVIRONMENT:
        yield f"--env {cfg.env}: the one there is is {ENVIRONMENT}; --root_env is the task"
    steps_told(cfg.caption)
    if cfg.encoder_custom not in ENCODERS:
        yield f"--encoder_custom {cfg.encoder_custom}: there are {', '.join(ENCODERS)}"
    if cfg.noveld_visits not in VISITS:
        yield f"--noveld_visits {cfg.noveld_visits}: there are {', '.join(VISITS)}"
    if cfg.reward_encoder != REWARD_ENCODER:
        yield f"--reward_encoder {cfg.reward_encoder}: there is {REWARD_ENCODER}"
    if (layers := cfg.encoder_conv_architecture) not in CONVOLUTIONS:
        yield f"--encoder_subtype {layers}: there are {', '.join(CONVOLUTIONS)}"


def _wrong_combinations(cfg: RLSettings) -> Iterator[str]:
    if cfg.batch_size % cfg.rollout:
        yield f"--batch_size {cfg.batch_size} must be a multiple of --rollout {cfg.rollout}"
    if cfg.with_vtrace and cfg.recurrence not in (-1, cfg.rollout):
        yield (
            f"--recurrence {cfg.recurrence} must be --rollout {cfg.rollout} (or -1, which means "
            "that) with V-trace"
        )
    if cfg.num_envs_per_worker % cfg.worker_num_splits:
        yield (
            f"--num_envs_per_worker {cfg.num_envs_per_worker} must be a multiple of "
            f"--worker_num_splits {cfg.worker_num_splits}"
        )
    if cfg.with_vtrace and cfg.normalize_returns:
        yield "--normalize_returns True: V-trace needs it False; leave it out"
    if cfg.normalize_input or cfg.obs_subtract_mean:
        yield (
            "--normalize_input and --obs_subtract_mean: the policy reads the cells of the screen "
            "and scales them itself; leave them out"
        )
    if bool(cfg.bonus) != bool(cfg.bonus_reward):
        yield (
            f"--bonus {cfg.bonus or None} and --bonus_reward {cfg.bonus_reward} belong together: "
            "the term, and a coefficient above 0"
        )
    make_bonus(cfg.bonus, cfg.beta_count_exponent)
    yield from problems(cfg)
    if cfg.llm_reward and not (cfg.reward_dir or cfg.online):
        yield (
            f"--llm_reward {cfg.llm_reward} needs --reward_dir, the run folder of "
            "scripts.train_reward, or --online; for the task's reward alone give --llm_reward 0.0"
        )


def settle_sampling(cfg: RLSettings) -> None:
    """Sample in batches where the numbers allow it: faster, and each game is paid the same.

    The games of a worker then start together (docs/differences.md, "Training").

    Raises:
        ConfigError: the command line asks for it, and they don't.
    """
    games = cfg.num_envs_per_worker // cfg.worker_num_splits
    rollouts = cfg.num_batches_per_epoch * cfg.batch_size // cfg.rollout
    fits = not max(games, rollouts) % min(games, rollouts)
    if "batched_sampling" not in cfg.cli_args:
        cfg.batched_sampling = fits and cfg.num_policies == 1
    elif cfg.batched_sampling and not fits:
        raise ConfigError(
            f"--batched_sampling True: the {games} games that step together (--num_envs_per_worker "
            f"/ --worker_num_splits) and the {rollouts} rollouts of a training iteration "
            "(--batch_size / --rollout) must divide one another; choose another "
            "--num_envs_per_worker, or leave it out"
        )
