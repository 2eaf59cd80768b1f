"""The RL settings that this package reads, typed: Motif's own flags, and Sample Factory's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from motif.cli import option
from motif.games.episode_trace import VISITS
from motif.games.game import CAPTION_HELP, GAME_HELP
from motif.intrinsic.terms import TRAINED
from motif.online.learner import KINDS
from motif.online.settings import PRESETS
from motif.pairs_dataset import ORIGIN

POLICY_ENCODER = "nle_rgbcrop_encoder"
COMPACT_ENCODER = "nle_compact_encoder"
REWARD_ENCODER = "nle_torchbeast_encoder"
MESSAGE_ENCODER = ("encoder_msg_model", "encoder_embedding_dim", "encoder_hidden_dim")
ENCODER_SIZE = f"of {REWARD_ENCODER}; checks that the reward model was made with this"


@dataclass
class MotifSettings:
    """Motif's flags; where the release has another name for one, its help begins with it."""

    game: str = option(ORIGIN["game"], GAME_HELP)
    caption: str = option(ORIGIN["caption"], CAPTION_HELP)
    root_env: str = option("NetHackScore-v1", "task: one of the game's")
    reward_dir: str = option("", "run folder of the reward model; not needed with --llm_reward 0.0")
    online: str = option(
        "", f"labels and reward are made while training: {', '.join(KINDS)} (docs/online.md)"
    )
    online_preset: str = option("", f"values of --online not given otherwise: {', '.join(PRESETS)}")
    online_labels: int = option(100_000, "most pairs that --online asks about")
    llm_reward: float = option(0.0, "coefficient of the intrinsic reward; 0.0: extrinsic only")
    bonus: str = option(
        "", f"an intrinsic term beside it: counts, {', '.join(TRAINED)}, or module:Term of your own"
    )
    bonus_reward: float = option(0.0, "coefficient of the bonus")
    bonus_learning_rate: float = option(1e-4, "of the networks of rnd, noveld and e3b")
    rnd_features: int = option(512, "outputs of the two networks of rnd and noveld")
    noveld_alpha: float = option(0.1, "noveld: what the novelty before is multiplied by")
    noveld_visits: str = option(
        "observation", f"noveld: what is paid at first sight of an episode: {', '.join(VISITS)}"
    )
    e3b_features: int = option(256, "outputs of e3b's encoder")
    e3b_ridge: float = option(0.1, "e3b: diagonal of the covariance as an episode begins")
    extrinsic_reward: float = option(1.0, "coefficient of the task's reward; 0.0: intrinsic only")
    extrinsic_scale: float = option(
        1.0, "(--reward_scale) factor of the task's reward before clipping"
    )
    extrinsic_clip: float = option(10.0, "(--reward_clip) bound of the scaled task reward")
    beta_count_exponent: float = option(3.0, "a message seen N times in an episode counts N^-this")
    eps_threshold_quantile: float = option(
        0.5, "messages at or below this quantile are worth nothing"
    )
    eps_threshold_value: float | None = option(
        None, "or: messages at or below this normalised reward are worth nothing"
    )
    rew_norm: bool = option(True, "subtract the reward's mean, divide by its deviation")
    checkpoint_num: int = option(0, "iteration of the reward checkpoint; 0: the last one")
    picture_scale: float = option(1.0, "(--obs_scale) the picture's pixels are divided by this")
    save_every_steps: int = option(100_000_000, "environment steps between policy checkpoints")
    save_ttyrec_every: int = option(0, "record every Nth game of each environment; 0: none")
    save_dir: str = option("", "where recordings go; empty: nle_data/")
    reward_encoder: str = option(REWARD_ENCODER, "network of the reward model")
    encoder_custom: str = option(
        POLICY_ENCODER,
        f"network of the policy: {POLICY_ENCODER} (the paper's), {COMPACT_ENCODER} (small, fast) "
        f"or {REWARD_ENCODER}",
    )
    encoder_embedding_dim: int | None = option(None, ENCODER_SIZE)
    encoder_hidden_dim: int | None = option(None, ENCODER_SIZE)
    encoder_msg_model: str | None = option(None, ENCODER_SIZE)
    encoder_extra_fc_layers: int = option(
        1, "linear layers of --hidden_size after the convolutions"
    )
    accept_changes: bool = option(False, "go on with a run though what it learns from changes")


class RLSettings(MotifSettings):
    """All of them: a view of the namespace that Sample Factory parses, or reads from a run."""

    algo: str
    env: str
    train_dir: str
    experiment: str
    restart_behavior: str
    device: str
    serial_mode: bool
    num_policies: int
    num_workers: int
    num_envs_per_worker: int
    worker_num_splits: int
    batched_sampling: bool
    batch_size: int
    rollout: int
    recurrence: int
    num_batches_per_epoch: int
    num_batches_to_accumulate: int
    train_for_env_steps: int
    with_vtrace: bool
    with_pbt: bool
    normalize_returns: bool
    normalize_input: bool
    obs_subtract_mean: float
    pbt_target_objective: str
    encoder_conv_architecture: str
    nonlinearity: str
    rnn_size: int
    use_rnn: bool
    seed: int | None
    cli_args: dict[str, Any]
    reward_model: str  # which one, by its file's checksum; for resuming
