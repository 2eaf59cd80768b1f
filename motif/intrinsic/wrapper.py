"""The intrinsic reward: what a message is worth, how it fades, when it is paid.

Paper section 3 ("intrinsic reward" and its normalisation). Works with any
Gymnasium environment that observes ``message``, without Sample Factory::

    import functools, gymnasium, motif.games.nethack
    from motif.intrinsic.wrapper import IntrinsicReward, MessageRewards
    from motif.reward.checkpoint import load_reward_model, score_messages

    model = load_reward_model("train_dir/reward_saving_dir/standard_reward")
    rewards = MessageRewards(functools.partial(score_messages, model))
    env = gymnasium.make("NetHackScore-v1")
    env = IntrinsicReward(env, rewards, threshold=model.threshold(0.5), llm_reward=0.1)
    observation, info = env.reset()
    observation, reward, terminated, truncated, info = env.step(0)
    print(reward, info["extrinsic_reward"], info["intrinsic_reward"])
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from motif.types import AnyArray, MessageArray

REWARD_CLIP = 10.0  # of the scaled extrinsic reward
MEMO_LIMIT = 200_000  # messages; a game meets some tens of thousands in its lifetime


def shape_intrinsic_reward(
    reward: float, count: int, *, threshold: float, count_exponent: float
) -> float:
    """``1[reward > threshold] * reward / count ** count_exponent`` (paper, equation 2 and below).

    Args:
        reward: normalised reward of the message.
        count: how often it was seen in this episode, this time included (at least 1).
    """
    return reward / count**count_exponent if reward > threshold else 0.0


def combine_rewards(
    extrinsic: float,
    intrinsic: float,
    *,
    extrinsic_reward: float,
    llm_reward: float,
    reward_scale: float,
    reward_clip: float = REWARD_CLIP,
) -> float:
    """The reward the agent learns from; only the extrinsic part is scaled and clipped."""
    scaled = reward_scale * extrinsic
    clipped = (
        scaled if -reward_clip <= scaled <= reward_clip else math.copysign(reward_clip, scaled)
    )
    return extrinsic_reward * clipped + llm_reward * intrinsic


class MessageRewards(dict[bytes, float]):
    """The reward of a message of 256 bytes: ``rewards[message]``, computed once a process.

    The reward is a pure function of the message's bytes and few messages are new (about 1 % of
    steps), so the dictionary nearly always has the answer.

    Args:
        score: rewards (U,) of messages (U, 256) uint8; what a trained reward model computes.
        known: messages (U, 256) and their rewards (U,), those of the training set say.
        limit: further messages kept; beyond it they are scored each time.
    """

    def __init__(
        self,
        score: Callable[[MessageArray], AnyArray],
        known: tuple[MessageArray, AnyArray] | None = None,
        limit: int = MEMO_LIMIT,
    ) -> None:
        super().__init__()
        self._score = score
        if known is not None:
            messages, rewards = known
            self.update(zip((row.tobytes() for row in messages), rewards.tolist()))
        self._limit = limit + len(self)

    def __missing__(self, message: bytes) -> float:
        reward = float(self._score(np.frombuffer(message, np.uint8)[None])[0])
        if len(self) < self._limit:
            self[message] = reward
        return reward


class IntrinsicReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds the intrinsic reward to a task's own.

    The message seen *before* an action is paid with that action's step, as in the release, whose
    learner reads the batch's observations: the message of the reset counts, the last of an episode
    never does. ``info`` gains ``extrinsic_reward`` (the task's own) and ``intrinsic_reward``
    (shaped, before its coefficient).

    Args:
        rewards: reward of a message; None: extrinsic only.
        threshold: messages at or below it are worth nothing.
        count_exponent: how fast a message fades within an episode.
        extrinsic_reward, llm_reward: coefficients of the two parts.
        reward_scale, reward_clip: of the extrinsic part alone.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        rewards: Mapping[bytes, float] | None,
        *,
        threshold: float = float("-inf"),
        count_exponent: float = 3.0,
        extrinsic_reward: float = 1.0,
        llm_reward: float = 0.1,
        reward_scale: float = 1.0,
        reward_clip: float = REWARD_CLIP,
    ) -> None:
        super().__init__(env)
        self._rewards = rewards
        self._shape = functools.partial(
            shape_intrinsic_reward, threshold=threshold, count_exponent=count_exponent
        )
        self._combine = functools.partial(
            combine_rewards,
            extrinsic_reward=extrinsic_reward,
            llm_reward=llm_reward,
            reward_scale=reward_scale,
            reward_clip=reward_clip,
        )
        self._counts: dict[bytes, int] = {}
        self._held = 0.0

    def reset(self, **kwargs: Any) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        self._counts = {}
        self._held = self._shaped(observation["message"])
        return observation, info

    def step(self, action: int) -> tuple[dict[str, AnyArray], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        extrinsic = float(reward)
        info["extrinsic_reward"], info["intrinsic_reward"] = extrinsic, self._held
        combined = self._combine(extrinsic, self._held)
        self._held = self._shaped(observation["message"])
        return observation, combined, terminated, truncated, info

    def _shaped(self, message: AnyArray) -> float:
        if self._rewards is None:
            return 0.0
        key = message.tobytes()
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return self._shape(self._rewards[key], count)
