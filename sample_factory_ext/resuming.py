"""Going on with a run: what its settings were, and which of them may be others now.

How many games are played, where, for how long and what is written may always change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sample_factory.utils.attr_dict import AttrDict

from motif.data_files import sha256
from motif.errors import CheckpointError
from motif.intrinsic.terms import TRAINED
from motif.results.runs import read_run_config
from motif.reward.checkpoint import find_checkpoint
from motif.reward.encoder import EncoderSettings
from sample_factory_ext.parameters import check_settings, released_name
from sample_factory_ext.settings import MESSAGE_ENCODER, REWARD_ENCODER, MotifSettings, RLSettings

# In the checkpoint: the network, and the optimiser with its settings.
CHECKPOINT = (
    "game caption encoder_custom encoder_conv_architecture encoder_extra_fc_layers nonlinearity "
    "use_rnn rnn_type rnn_size rnn_num_layers decoder_mlp_layers actor_critic_share_weights "
    "normalize_returns optimizer adam_eps adam_beta1 adam_beta2"
)
BONUS = ("bonus", "rnd_features", "e3b_features")  # where it is a trained one
# With another value of these a run goes on, but as another experiment.
LEARNT = (
    "root_env online reward_model llm_reward bonus bonus_reward bonus_learning_rate noveld_alpha "
    "noveld_visits e3b_ridge extrinsic_reward extrinsic_scale extrinsic_clip beta_count_exponent "
    "eps_threshold_quantile eps_threshold_value rew_norm picture_scale gamma "
    "gae_lambda learning_rate lr_schedule lr_schedule_kl_threshold lr_adaptive_min "
    "lr_adaptive_max max_grad_norm batch_size num_batches_per_epoch num_epochs rollout "
    "shuffle_minibatches exploration_loss exploration_loss_coeff value_loss_coeff kl_loss_coeff "
    "value_bootstrap ppo_clip_ratio ppo_clip_value with_vtrace vtrace_rho vtrace_c "
    "num_policies with_pbt"
)


def with_stored_settings(cfg: RLSettings, run_folder: Path) -> RLSettings:
    """What the command line leaves out is as it was when the run began, but for where it lies.

    Raises:
        CheckpointError: the run's ``config.json`` is damaged.
        ConfigError: the settings do not go together.
    """
    stored: Mapping[str, Any] = {}
    if cfg.restart_behavior == "resume" and (run_folder / "config.json").exists():
        stored = read_run_config(run_folder)
    given = {**cfg.cli_args, "train_dir": cfg.train_dir, "experiment": cfg.experiment}
    given.pop("accept_changes", None)  # for this start alone
    merged: RLSettings = AttrDict({**vars(cfg), **stored, **given, "cli_args": given})
    merged.accept_changes = False
    check_settings(merged)
    return merged


def describe_reward(cfg: RLSettings) -> str:
    """The reward model that the settings name, told from others that were in the same folder."""
    if cfg.online or not cfg.llm_reward:
        return cfg.online or "none"
    path = find_checkpoint(cfg.reward_dir, cfg.checkpoint_num)
    return f"{path.name} (sha256 {sha256(path)[:12]})"


def check_changes(cfg: RLSettings, run_folder: Path, steps: int, accepted: bool) -> None:
    """Refuse settings that the run cannot go on with, or not without ``--accept_changes True``.

    Raises:
        CheckpointError: which settings, and their values before.
    """
    before = read_run_config(run_folder)
    fixed_ones = CHECKPOINT.split()
    if cfg.encoder_custom == REWARD_ENCODER:
        fixed_ones += MESSAGE_ENCODER
    if {before["bonus"], cfg.bonus} & set(TRAINED):
        fixed_ones += BONUS
    afresh = "or start afresh with another --experiment"
    if fixed := _differences(before, cfg, fixed_ones):
        raise CheckpointError(
            f"{run_folder} was trained with {fixed}; its checkpoint cannot go on like that: leave "
            f"it out, {afresh}"
        )
    older = ("reward_dir", "checkpoint_num") if "reward_model" not in before else ()
    learnt = _differences(before, cfg, (*LEARNT.split(), *older))
    if learnt and not accepted:
        raise CheckpointError(
            f"{run_folder} was trained with {learnt}; go on with the old values, or with these by "
            f"--accept_changes True, {afresh}"
        )
    if learnt:
        print(f"note: its first {steps:,} steps {run_folder} was trained with {learnt}")


def _differences(before: Mapping[str, Any], cfg: RLSettings, names: Iterable[str]) -> str:
    """``--name old, not new`` of each; by default what an older version did not write."""
    found = []
    for name in names:
        new = getattr(cfg, name)
        old = before.get(name, getattr(MotifSettings, name, new))
        if name in MESSAGE_ENCODER:  # not given: as by default
            old, new = (getattr(EncoderSettings(), name) if v is None else v for v in (old, new))
        if old != new:
            words = "the reward model" if name == "reward_model" else f"--{released_name(name)}"
            old, new = ("none" if value == "" else value for value in (old, new))
            found.append(f"{words} {old}, not {new}")
    return ", and ".join(found)
