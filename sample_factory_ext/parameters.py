"""Every RL flag in one table: the release's names, the paper's defaults, what has no effect.

Sample Factory's own parser stays in charge. This module adds Motif's flags, overrides defaults
(docs/differences.md, "Training"), and translates names that changed
between Sample Factory 1 and 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args

from motif.cli import boolean
from motif.errors import ConfigError
from sample_factory_ext.encoder import CONVOLUTIONS, ENCODERS

ENVIRONMENT = "nle_fixed_eat_action"
POLICY_ENCODER = "nle_rgbcrop_encoder"
REWARD_ENCODER = "nle_torchbeast_encoder"
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

# Sample Factory's defaults that differ from the release's.
DEFAULTS: dict[str, Any] = {
    "env": ENVIRONMENT,
    "train_dir": "train_dir/rl_saving_dir",
    "with_vtrace": True,
    "normalize_input": False,
    "normalize_returns": False,  # refused by Sample Factory together with V-trace
    "reward_clip": float(NEVER),  # the environment scales and clips, see extrinsic_clip
    "max_policy_lag": 10_000,
    "recurrence": 32,
    "num_epochs": 1,
    "keep_checkpoints": 3,
    "decorrelate_experience_max_seconds": 10,
    "force_envs_single_thread": True,
    "save_every_sec": NEVER,  # save_every_steps does it
    "save_best_every_sec": NEVER,  # the release keeps no best policy
    "save_best_after": 10**18,
    "exploration_loss_coeff": 0.003,
    "adam_eps": 1e-6,
    "max_grad_norm": 4.0,
    "ppo_clip_ratio": 0.1,
    "ppo_clip_value": 1.0,
    "value_loss_coeff": 0.5,
    "learning_rate": 1e-4,
    "gamma": 0.99,
    "rollout": 32,
    "nonlinearity": "elu",
    "rnn_type": "gru",
    "rnn_size": 512,
    "policy_initialization": "orthogonal",
    "seed": 777,  # the release has none, and crashes without
}

ENCODER_SIZE = f"of {REWARD_ENCODER}; checks that the reward model was made with this"

# name, default, type, help
MOTIF_FLAGS: tuple[tuple[str, Any, Any, str], ...] = (
    ("game", "nethack", str, "the game: nethack, or module:Adapter of your own"),
    ("root_env", "NetHackScore-v1", str, "task: one of the game's"),
    ("reward_dir", "", str, "run folder of the reward model; not needed with --llm_reward 0.0"),
    ("llm_reward", 0.0, float, "coefficient of the intrinsic reward; 0.0: extrinsic only"),
    ("extrinsic_reward", 1.0, float, "coefficient of the task's reward; 0.0: intrinsic only"),
    ("extrinsic_scale", 1.0, float, "(--reward_scale) factor of the task's reward before clipping"),
    ("extrinsic_clip", 10.0, float, "(--reward_clip) bound of the scaled task reward"),
    ("beta_count_exponent", 3.0, float, "a message seen N times in an episode counts N^-this"),
    ("eps_threshold_quantile", 0.5, float, "messages at or below this quantile are worth nothing"),
    ("rew_norm", True, boolean, "subtract the reward's mean, divide by its deviation"),
    ("checkpoint_num", 0, int, "iteration of the reward checkpoint; 0: the last one"),
    ("picture_scale", 1.0, float, "(--obs_scale) the picture's pixels are divided by this"),
    ("save_every_steps", 100_000_000, int, "environment steps between policy checkpoints"),
    ("save_ttyrec_every", 0, int, "record every Nth game of each environment; 0: none"),
    ("save_dir", "", str, "where recordings go; empty: nle_data/"),
    ("reward_encoder", REWARD_ENCODER, str, "network of the reward model"),
    ("encoder_custom", POLICY_ENCODER, str, f"network of the policy: {' or '.join(ENCODERS)}"),
    ("encoder_embedding_dim", None, int, ENCODER_SIZE),
    ("encoder_hidden_dim", None, int, ENCODER_SIZE),
    ("encoder_msg_model", None, str, ENCODER_SIZE),
    ("encoder_extra_fc_layers", 1, int, "linear layers of --hidden_size after the convolutions"),
)

# Accepted, without effect: name → why.
NO_EFFECT = {
    "pop_bl": "it had none in the release",
    "checkpoint_id": "it had none in the release",
    "msg_count_bonus": "it had none in the release",
    "encoder_type": "the picture is always read by convolutions",
    "encoder_final_activ": "the policy's encoder has no final activation",
    "encoder_crop_dim": "reward models read messages, not the map",
    "encoder_num_layers": "reward models read messages, not the map",
    "use_crop": "reward models read messages, not the map",
    "use_glyphs": "reward models read messages, not the map",
    "use_blstats": "the reward checkpoint says so itself",
    "use_spectral_norm": "Sample Factory 2 has no such option",
    "use_cpc": "Sample Factory 2 has no such option",
    "cpc_forward_steps": "Sample Factory 2 has no such option",
    "cpc_time_subsample": "Sample Factory 2 has no such option",
    "cpc_forward_subsample": "Sample Factory 2 has no such option",
    "traj_buffers_excess_ratio": "Sample Factory 2 sizes its buffers itself",
    "reset_timeout_seconds": "Sample Factory 2 watches its workers' heartbeats",
    "train_in_background_thread": "Sample Factory 2 trains in a process of its own",
    "learner_main_loop_num_cores": "the learner uses one thread",
    "sampler_only": "use benchmarks.rl_throughput",
    "experiments_root": "use --train_dir",
    "pbt_optimize_batch_size": "Sample Factory 2 has no such option",
    "custom_env_episode_len": "tasks last 5,000 steps",
    "render_action_repeat": "use scripts.visualize",
    "record_to": "use --save_ttyrec_every",
    "continuous_actions_sample": "actions are discrete",
}


def parse_rl_args(argv: Sequence[str] | None = None, evaluation: bool = False) -> Any:
    """Parse an RL command line, of the release or ours, into Sample Factory's namespace.

    Raises:
        ConfigError: a value that cannot work.
        SystemExit: an unknown flag or a malformed value, after argparse's usual message.
    """
    argv = [_translate(word) for word in (sys.argv[1:] if argv is None else argv)]
    if not any(word == "--env" or word.startswith("--env=") for word in argv):
        argv = ["--env", ENVIRONMENT, *argv]  # Sample Factory asks before defaults can apply
    parser, _ = parse_sf_args(["--env", ENVIRONMENT], evaluation)  # the line itself: below
    parser.allow_abbrev = False
    _explain_renamed(parser)
    add_motif_flags(parser)
    known = {action.dest for action in parser._actions}
    parser.set_defaults(**{name: value for name, value in DEFAULTS.items() if name in known})
    for action in parser._actions:
        if action.dest == "device":
            action.choices, action.default = ["auto", "gpu", "cpu"], "auto"
            action.help = "auto: the GPU if there is one"
        elif getattr(action.type, "__name__", "") == "str2bool":
            action.type = boolean  # theirs knows neither 0 nor no
    cfg = parse_full_cfg(parser, argv)
    for name in NO_EFFECT:
        if name in cfg.cli_args:
            print(f"note: --{name} has no effect here: {NO_EFFECT[name]}", file=sys.stderr)
    if cfg.num_batches_to_accumulate == -1:  # the release's way to say: twice an iteration's
        cfg.num_batches_to_accumulate = 2 * cfg.num_batches_per_epoch
        cfg.cli_args["num_batches_to_accumulate"] = cfg.num_batches_to_accumulate
    if cfg.pbt_target_objective == "true_reward":  # its name in Sample Factory 1
        cfg.pbt_target_objective = cfg.cli_args["pbt_target_objective"] = "true_objective"
    _check_numbers(cfg)
    _check_names(cfg)
    _check_combinations(cfg)
    return cfg


def settle_sampling(cfg: Any) -> None:
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


def add_motif_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of :data:`MOTIF_FLAGS` and :data:`NO_EFFECT`."""
    for name, default, kind, text in MOTIF_FLAGS:
        parser.add_argument(f"--{name}", default=default, type=kind, help=text)
    for name, reason in NO_EFFECT.items():
        parser.add_argument(f"--{name}", default=None, type=str, help=f"no effect: {reason}")


def _translate(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    name = name.replace("-", "_")
    return f"--{RENAMED.get(name, name)}{equals}{value}"


def _explain_renamed(parser: argparse.ArgumentParser) -> None:
    """Say in --help where the values of the renamed flags go."""
    for action in parser._actions:
        if action.dest in ("reward_scale", "reward_clip", "obs_scale"):
            action.help = f"the same as --{RENAMED[action.dest]} on our command line"


AT_LEAST_1 = (
    *("num_workers", "num_envs_per_worker", "worker_num_splits", "num_policies", "batch_size"),
    *("rollout", "num_epochs", "num_batches_per_epoch", "num_batches_to_accumulate"),
    *("train_for_env_steps", "save_every_steps", "keep_checkpoints", "stats_avg"),
)


def _check_numbers(cfg: Any) -> None:
    for name in AT_LEAST_1:
        if getattr(cfg, name) < 1:
            raise ConfigError(f"--{name} {getattr(cfg, name)}: at least 1 is needed")
    if not cfg.picture_scale > 0:
        raise ConfigError(f"--obs_scale {cfg.picture_scale}: it must be more than 0")
    if not cfg.extrinsic_clip > 0:
        raise ConfigError(f"--reward_clip {cfg.extrinsic_clip}: it must be more than 0")


def _check_names(cfg: Any) -> None:
    if cfg.algo != "APPO":
        raise ConfigError(f"--algo {cfg.algo}: only APPO is supported")
    if cfg.env != ENVIRONMENT:
        raise ConfigError(
            f"--env {cfg.env}: the one there is is {ENVIRONMENT}; --root_env is the task"
        )
    if cfg.encoder_custom not in ENCODERS:
        raise ConfigError(f"--encoder_custom {cfg.encoder_custom}: there are {', '.join(ENCODERS)}")
    if cfg.reward_encoder != REWARD_ENCODER:
        raise ConfigError(f"--reward_encoder {cfg.reward_encoder}: there is {REWARD_ENCODER}")
    if cfg.encoder_conv_architecture not in CONVOLUTIONS:
        raise ConfigError(
            f"--encoder_subtype {cfg.encoder_conv_architecture}: there are "
            f"{', '.join(CONVOLUTIONS)}"
        )


def _check_combinations(cfg: Any) -> None:
    if cfg.batch_size % cfg.rollout:
        raise ConfigError(
            f"--batch_size {cfg.batch_size} must be a multiple of --rollout {cfg.rollout}"
        )
    if cfg.with_vtrace and cfg.recurrence not in (-1, cfg.rollout):
        raise ConfigError(
            f"--recurrence {cfg.recurrence} must be --rollout {cfg.rollout} (or -1, which means "
            "that) with V-trace"
        )
    if cfg.num_envs_per_worker % cfg.worker_num_splits:
        raise ConfigError(
            f"--num_envs_per_worker {cfg.num_envs_per_worker} must be a multiple of "
            f"--worker_num_splits {cfg.worker_num_splits}"
        )
    if cfg.with_vtrace and cfg.normalize_returns:
        raise ConfigError("--normalize_returns True: V-trace needs it False; leave it out")
    if cfg.normalize_input or cfg.obs_subtract_mean:
        raise ConfigError(
            "--normalize_input and --obs_subtract_mean: the policy reads the cells of the screen "
            "and scales them itself; leave them out"
        )
    if cfg.llm_reward and not cfg.reward_dir:
        raise ConfigError(
            f"--llm_reward {cfg.llm_reward} needs --reward_dir, the run folder of "
            "scripts.train_reward; for the task's reward alone give --llm_reward 0.0"
        )
