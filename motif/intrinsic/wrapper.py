"""The intrinsic reward as a Gymnasium wrapper: when it is paid, and how it joins the task's own.

Paper section 3. Works with any environment that observes or reports a text as ``message``,
NetHack or not, without Sample Factory::

    import gymnasium, motif.games.nethack
    from motif.intrinsic.terms import LearntReward, MessageRewards
    from motif.intrinsic.wrapper import IntrinsicReward
    from motif.reward.checkpoint import load_reward_model

    model = load_reward_model("train_dir/reward_saving_dir/standard_reward")
    term = LearntReward(MessageRewards(model.score), threshold=model.threshold(0.5))
    env = IntrinsicReward(gymnasium.make("NetHackScore-v1"), term, llm_reward=0.1)
    observation, info = env.reset()
    observation, reward, terminated, truncated, info = env.step(0)
    print(reward, info["extrinsic_reward"], info["intrinsic_reward"])
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np

from motif.intrinsic.terms import MessageRewards, RewardTerm
from motif.messages import encode
from motif.types import StepResult

REWARD_CLIP = 10.0  # of the scaled extrinsic reward


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


def message_of(observation: Any, info: Mapping[str, Any]) -> bytes:
    """The 256 bytes of an environment's text: ``message`` of its observation, or of its info.

    Raises:
        KeyError: neither has one.
    """
    # dict before Mapping, whose test is slow
    seen = isinstance(observation, (dict, Mapping)) and "message" in observation
    message = observation["message"] if seen else info["message"]
    if isinstance(message, np.ndarray):
        return message.tobytes()
    text = message.decode("latin-1") if isinstance(message, bytes) else message
    return encode(text).tobytes()


class IntrinsicReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds the intrinsic reward to a task's own.

    The message seen *before* an action is paid with that action's step, as in the release, whose
    learner reads the batch's observations: the message of the reset counts, the last of an episode
    never does. ``info`` gains ``extrinsic_reward`` (the task's own), ``intrinsic_reward``
    (the term's, before its coefficient) and ``intrinsic_part`` (all that is not the task's, of the
    reward that the step returns).

    Args:
        term: what an observation is worth; None: nothing.
        bonus: another term beside it, with a coefficient of its own; None: nothing.
        extrinsic_reward, llm_reward, bonus_reward: coefficients of the parts.
        reward_scale, reward_clip: of the extrinsic part alone.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        term: RewardTerm | None,
        *,
        extrinsic_reward: float = 1.0,
        llm_reward: float = 0.1,
        bonus: RewardTerm | None = None,
        bonus_reward: float = 0.0,
        reward_scale: float = 1.0,
        reward_clip: float = REWARD_CLIP,
    ) -> None:
        super().__init__(env)
        self.term = term
        self._bonus, self._bonus_reward, self._llm_reward = bonus, bonus_reward, llm_reward
        self._combine = functools.partial(
            combine_rewards,
            extrinsic_reward=extrinsic_reward,
            llm_reward=llm_reward,
            reward_scale=reward_scale,
            reward_clip=reward_clip,
        )
        self._held = self._held_bonus = 0.0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        for term in (self.term, self._bonus):
            if term is not None:
                term.reset()
        self._observe(observation, info)
        return observation, info

    def step(self, action: int) -> StepResult:
        return self.after(self.env.step(action))

    def after(self, result: StepResult) -> StepResult:
        """What the step returns, of what the task's did."""
        observation, reward, terminated, truncated, info = result
        extrinsic = float(reward)
        bonus = self._bonus_reward * self._held_bonus
        info["extrinsic_reward"], info["intrinsic_reward"] = extrinsic, self._held
        info["intrinsic_part"] = self._llm_reward * self._held + bonus
        combined = self._combine(extrinsic, self._held) + bonus
        self._observe(observation, info)
        return observation, combined, terminated, truncated, info

    def _observe(self, observation: Any, info: Mapping[str, Any]) -> None:
        """Hold what the next step will pay."""
        if self.term is None and self._bonus is None:
            return
        message = message_of(observation, info)
        if self.term is not None:
            self._held = self.term.observe(message, observation)
        if self._bonus is not None:
            self._held_bonus = self._bonus.observe(message, observation)


def score_together(games: Iterable[IntrinsicReward], results: Iterable[StepResult]) -> None:
    """Have what is new among the messages of several games scored in one call of the model.

    Args:
        results: of a step of each game's task, which :meth:`IntrinsicReward.after` gets next.
    """
    new: dict[int, tuple[MessageRewards, list[bytes]]] = {}
    for game, (observation, _, _, _, info) in zip(games, results):
        rewards = getattr(game.term, "rewards", None)
        if isinstance(rewards, MessageRewards):
            _, messages = new.setdefault(id(rewards), (rewards, []))
            messages.append(message_of(observation, info))
    for rewards, messages in new.values():
        rewards.fill(messages)
