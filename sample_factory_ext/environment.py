"""From the command line's settings to the environment that Sample Factory trains in."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from motif.errors import CheckpointError
from motif.games.episode_trace import EpisodeTrace
from motif.games.game import find_game, open_game
from motif.games.policy_view import PolicyView
from motif.intrinsic.terms import (
    TRAINED,
    LearntReward,
    MessageRewards,
    RewardTerm,
    make_bonus,
)
from motif.intrinsic.wrapper import IntrinsicReward
from motif.online.learner import check_start
from motif.online.met import MetMessages
from motif.online.reward import OnlineReward, Versions
from motif.online.settings import online_folder
from motif.pairs_dataset import ORIGIN
from motif.play.rollout import Returns
from motif.reward.checkpoint import LoadedReward, load_reward_model
from motif.types import AnyArray, MessageArray, StepResult
from sample_factory_ext.settings import RLSettings

_Cut = tuple[float, float | None]  # the threshold's quantile, and its value if that is given


class EpisodeSummary(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Reports, as an episode ends, what Sample Factory and ``episodes.csv`` keep of it.

    ``true_objective`` is the task's own return; ``extrinsic_return`` and ``intrinsic_return`` are
    the two parts of what the agent learns from, scaled, clipped and weighted.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], columns: Sequence[str]) -> None:
        super().__init__(env)
        self._columns = columns
        self._returns = Returns()

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, another one at each start of a run.

        Sample Factory seeds some environments by their numbers, whatever ``--seed`` says.
        """
        self._returns = Returns()
        return self.env.reset(**{**kwargs, "seed": None})

    def step(self, action: int) -> StepResult:
        """One step; the last one's info has the summary."""
        return self.after(self.env.step(action))

    def after(self, result: StepResult) -> StepResult:
        """What the step returns, of what the environment's did."""
        observation, paid, terminated, truncated, info = result
        reward = float(paid)
        returns = self._returns
        returns.add(reward, info)
        if terminated or truncated:
            info["true_objective"] = returns.game_return
            info["episode_extra_stats"] = {
                "extrinsic_return": returns.extrinsic_return,
                "intrinsic_return": returns.intrinsic_return,
                **{name: float(info[name]) for name in self._columns},
            }
        return observation, reward, terminated, truncated, info


def load_message_reward(
    run_folder: str, checkpoint_num: int, expected: Mapping[str, Any] | None = None
) -> LoadedReward:
    """A reward model that reads the message alone.

    Raises:
        CheckpointError: it isn't there, is damaged, was made with other flags, or reads more.
    """
    loaded = load_reward_model(run_folder, checkpoint_num, expected=expected)
    if loaded.config.get("use_blstats"):
        raise CheckpointError(
            f"{loaded.path} was trained with --use_blstats True; the intrinsic reward is a "
            "function of the message alone; train the reward model without it"
        )
    return loaded


def check_reward(cfg: RLSettings) -> None:
    """Make sure, before any process starts, that the reward model can be used.

    Raises:
        CheckpointError: it can't, or the threshold's quantile is not stored.
    """
    if cfg.llm_reward and cfg.reward_dir:
        names = ("encoder_msg_model", "encoder_embedding_dim", "encoder_hidden_dim")
        expected = {name: getattr(cfg, name) for name in names if getattr(cfg, name) is not None}
        expected |= {name: getattr(cfg, name) for name in ORIGIN}
        loaded = load_message_reward(cfg.reward_dir, cfg.checkpoint_num, expected)
        loaded.threshold(*_cut(cfg))
        if cfg.online:
            check_start(loaded, cfg.online)


def _read_reward(
    reward_dir: str, checkpoint_num: int, cut: _Cut, normalised: bool, *of: str
) -> tuple[MessageRewards, float]:
    """The reward of each message, and the threshold.

    Args:
        of: the game, and the captions.

    Differs from the release: without normalisation the quantile is brought to the scale of the raw
    reward, so that the same messages pass.
    """
    loaded = load_message_reward(reward_dir, checkpoint_num, dict(zip(ORIGIN, of)))
    scale, offset = (1.0, 0.0) if normalised else (loaded.variance**0.5, loaded.mean)

    def score(messages_UC: MessageArray) -> AnyArray:
        return loaded.score(messages_UC) * scale + offset

    known = loaded.train_messages, loaded.train_rewards * scale + offset
    return MessageRewards(score, known), loaded.threshold(*cut, normalised=normalised)


_shared_reward = lru_cache(maxsize=1)(_read_reward)  # one memo for all environments of a process


@lru_cache(maxsize=1)
def _shared_versions(
    folder: Path, begin: tuple[str, int] | None, shaped: tuple[Any, ...]
) -> tuple[Versions, MetMessages]:
    """The rewards and counts of ``--online``, which all environments of a process share."""
    reward, nothing = str(folder / "reward"), MessageRewards(lambda rows: np.zeros(len(rows)))
    first = _read_reward(*begin, *shaped) if begin else (nothing, 0.0)
    versions = Versions(Path(reward), lambda number: _read_reward(reward, number, *shaped), first)
    return versions, MetMessages(folder)


def _recording_folder(cfg: RLSettings, env_config: Any) -> Path | None:
    """A new folder for each environment of each start.

    NLE names recordings by process and game, and overwrites: environments of one process would
    write the same files, and so would a run started again whose processes have the old numbers,
    as in a container.
    """
    if not (cfg.save_ttyrec_every and cfg.save_dir and env_config):
        return None
    for start in itertools.count():
        folder = Path(cfg.save_dir) / f"env_{env_config['env_id']:05d}.{start}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("counting does not end")


def make_env(
    full_env_name: str, cfg: RLSettings, env_config: Any = None, render_mode: str | None = None
) -> gymnasium.Env[Any, Any]:
    """The factory that Sample Factory calls, once for each environment."""
    torch.set_num_threads(1)
    game = find_game(cfg.game)
    record = _recording_folder(cfg, env_config)
    options = {"record": record, "every": cfg.save_ttyrec_every}
    env = open_game(game, cfg.root_env, cfg.caption, **options)
    env = PolicyView(add_intrinsic_reward(env, cfg), game.policy_space, game.policy_observation)
    if cfg.bonus in TRAINED:
        number = env_config["env_id"] if env_config else 0
        env = EpisodeTrace(env, number, cfg.noveld_visits)
    return EpisodeSummary(env, game.info_columns)


def message_rewards(cfg: RLSettings) -> tuple[MessageRewards | None, float]:
    """The reward of each message and the threshold; None and minus infinity without any."""
    if not cfg.llm_reward:
        return None, float("-inf")
    return _shared_reward(*_reward_settings(cfg))


def _reward_settings(cfg: RLSettings) -> tuple[Any, ...]:
    return cfg.reward_dir, cfg.checkpoint_num, *_shaping(cfg)


def _cut(cfg: RLSettings) -> _Cut:
    return cfg.eps_threshold_quantile, cfg.eps_threshold_value


def _shaping(cfg: RLSettings) -> tuple[Any, ...]:
    return _cut(cfg), cfg.rew_norm, cfg.game, cfg.caption


def add_intrinsic_reward(env: gymnasium.Env[Any, Any], cfg: RLSettings) -> IntrinsicReward:
    """The task with both rewards, as a run's settings say."""
    exponent = cfg.beta_count_exponent
    term: RewardTerm | None = None
    if cfg.online:
        begin = (cfg.reward_dir, cfg.checkpoint_num) if cfg.reward_dir else None
        shared = _shared_versions(online_folder(cfg), begin, _shaping(cfg))
        term = OnlineReward(*shared, count_exponent=exponent)
    elif cfg.llm_reward:
        rewards, threshold = _shared_reward(*_reward_settings(cfg))
        term = LearntReward(rewards, threshold=threshold, count_exponent=exponent)
    return IntrinsicReward(
        env,
        term,
        extrinsic_reward=cfg.extrinsic_reward,
        llm_reward=cfg.llm_reward,
        bonus=make_bonus(cfg.bonus, exponent),
        bonus_reward=cfg.bonus_reward,
        reward_scale=cfg.extrinsic_scale,
        reward_clip=cfg.extrinsic_clip,
    )
