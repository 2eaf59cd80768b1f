"""NLE with one of the tasks: the one environment that plays them all."""

from __future__ import annotations

import enum
import inspect
import re
from typing import Any

import gymnasium
import numpy as np

from motif.blstats import BRANCH, DEPTH, EXPERIENCE_LEVEL, GOLD, LEVEL, SCORE, TURN
from motif.compiled import compiled
from motif.errors import ConfigError, MissingPackageError
from motif.games.nethack.progression import progression
from motif.games.nethack.tasks import DESCENT, SUCCESS_REWARD, TASKS
from motif.types import AnyArray

try:
    from nle import nethack
    from nle.env import base
    from nle.env.tasks import TASK_ACTIONS

    from motif.games.nethack.shared_code import share_code
except ImportError as error:
    raise MissingPackageError(
        f"NetHack needs {error.name}, which is not installed; run: pip install -e '.[rl]'"
    ) from None

FROZEN_TURN_PENALTY = -0.01  # score task: an action that took no game time
EAT_QUESTION = b"What do you want to eat"
EDIBLE_LETTERS = re.compile(rb"\[([a-zA-Z]+)")
YES = ord("y")
UNSEEN = nethack.GLYPH_CMAP_OFF  # solid rock, or not seen yet
_ARGUMENTS = inspect.signature(base.NLE).parameters
# Describing the screen marks what lies beside the hero as seen up close: later messages change.
OBSERVATION_KEYS = tuple(
    key for key in _ARGUMENTS["observation_keys"].default if key != "screen_descriptions"
)


@compiled()
def count_seen(glyphs: AnyArray) -> int:
    """How many of the (21, 79) glyphs show something."""
    seen = 0
    for glyph in glyphs.flat:
        seen += glyph != UNSEEN
    return seen


class NetHackTask(base.NLE):  # type: ignore[misc]
    """NLE with one of :data:`TASKS`, its 23 actions, and the repaired eating action.

    Observations (but for ``screen_descriptions``, which must be asked for), ``seed(core, disp,
    reseed)`` and constructor arguments are NLE's own. NLE reuses its arrays: copy what must outlive
    the next step.

    ``info`` holds, after every step, ``score``, ``dlvl`` (depth), ``deepest`` (the greatest so
    far), ``gold``, ``xlvl`` (experience level), ``turns`` (game time) and ``scout`` (glyphs seen,
    over all levels visited) of the last moment at which the status line was readable; at the end
    ``end``, how the game ended, and ``progression`` too.

    Args:
        task: a key of :data:`TASKS`.
    """

    class StepStatus(enum.IntEnum):
        """How the last step left the game; NLE's values and one more."""

        ABORTED = -1
        RUNNING = 0
        DEATH = 1
        TASK_SUCCESSFUL = 2

    def __init__(self, task: str, **kwargs: Any) -> None:
        self.task = TASKS[task]
        if "fix_moon_phase" in kwargs and "fix_moon_phase" not in _ARGUMENTS:
            raise ConfigError("fix_moon_phase needs nle 1.3; see docs/install.md")
        settings = {"actions": TASK_ACTIONS, "observation_keys": OBSERVATION_KEYS, **kwargs}
        super().__init__(**settings)
        self._repeats = self._decided = False
        self._observed = list(zip(self._original_observation_keys, self._original_indices))
        self.message = b""  # of the current observation, all 256 bytes
        self._succeeded = False
        self._explored: dict[tuple[int, int], int] = {}
        self._deepest = 0
        self._status: list[int] = [0] * nethack.NLE_BLSTATS_SIZE

    def seed(self, *seeds: Any, **named: Any) -> Any:
        """Decide the next game by NLE's own two seeds; see its documentation."""
        self._decided = True
        return super().seed(*seeds, **named)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Start a new game.

        Args:
            seed: decides this game and, where no other is given, those after it.
            options: NLE's ``wizkit_items``, if any.
        """
        gymnasium.Env.reset(self, seed=seed)
        self._repeats |= seed is not None
        if seed is not None or (self._repeats and not self._decided):
            self.seed(*self.np_random.integers(2**62, size=2).tolist(), reseed=False)
        self._decided = False
        if options is not None:
            options = {"wizkit_items": None, **options}  # NLE asks for the key
        self._succeeded = False
        # Differs from the release: it never forgets the glyphs of earlier games.
        self._explored, self._deepest = {}, 0
        observation, info = super().reset(options=options)
        share_code(self.nethack)
        self.message = self.last_observation[self._message_index].tobytes()
        self._status = self.last_observation[self._blstats_index].tolist()
        self._explore()
        return observation, {**info, **self._progress()}

    def step(self, action: int) -> tuple[dict[str, AnyArray], float, bool, bool, dict[str, Any]]:
        """One agent step: a key, then whatever the game asks that the agent may not answer."""
        before = self._status
        observation, done = self.nethack.step(self._key(action))
        if not self._allow_all_modes or observation[self._program_state_index][0] == 1:
            observation, done = self._perform_known_steps(observation, done)
        self._steps += 1
        self.last_observation = observation
        self.message = observation[self._message_index].tobytes()

        playing = not done and self.nethack.in_normal_game()
        if playing:  # otherwise NLE reports zeros
            self._status = observation[self._blstats_index].tolist()
            self._explore()
        status, reward = self._judge(before, playing, done)
        info = self._progress()
        info["end_status"] = status
        info["is_ascended"] = done and self.nethack.how_done() == nethack.ASCENDED
        if status is RUNNING:
            return self._get_observation(observation), reward, False, False, info
        info["progression"] = progression(info["deepest"], info["xlvl"], info["is_ascended"])
        if done:  # died, starving, stoning, …
            info["end"] = nethack.game_end_types(self.nethack.how_done()).name.lower()
        else:
            info["end"] = "step limit" if status is ABORTED else "success"
        if not done:
            self._quit_game(observation, done)
        return self._get_observation(observation), reward, True, False, info

    def render(self) -> Any:
        """NLE's own; the colours of its ``full`` mode are too short for its sums in numpy 2."""
        seen, names = self.last_observation, self._observation_keys
        self.last_observation = tuple(
            array.astype(int) if name == "colors" else array for name, array in zip(names, seen)
        )
        try:
            return super().render()
        finally:
            self.last_observation = seen

    def _get_observation(self, observation: tuple[AnyArray, ...]) -> dict[str, AnyArray]:
        return {key: observation[index] for key, index in self._observed}

    def _key(self, action: int) -> int:
        """The key to press; at the eating question, the first letter offered for ``y``."""
        key: int = self.actions[action]
        if EAT_QUESTION in self.message:
            letters = EDIBLE_LETTERS.search(self.message)
            return letters[1][0] if letters and key == YES else base.ASCII_SPACE
        return key

    def _perform_known_steps(
        self, observation: tuple[AnyArray, ...], done: bool, exceptions: bool = True
    ) -> tuple[tuple[AnyArray, ...], bool]:
        """Click through --More--, decline questions; keep the message that tells of a descent."""
        internal, message = observation[self._internal_index], observation[self._message_index]
        while not done:
            _, asks_for_key, asks_for_text, shows_more, *_ = internal.tolist()
            if shows_more:
                text = message.tobytes()
                observation, done = self.nethack.step(base.ASCII_SPACE)
                if DESCENT + b"." in text:
                    message[:] = np.frombuffer(text, np.uint8)
                continue
            if asks_for_text:
                observation, done = self.nethack.step(base.ASCII_ESC)
                continue
            if asks_for_key and not (exceptions and self._may_answer(message.tobytes())):
                observation, done = self.nethack.step(base.ASCII_ESC)
            break
        return observation, done

    def _may_answer(self, question: bytes) -> bool:
        return self._allow_all_yn_questions or any(
            word in question for word in base.SKIP_EXCEPTIONS
        )

    def _judge(self, before: list[int], playing: bool, done: bool) -> tuple[StepStatus, float]:
        """How the game stands, and the task's reward for this step."""
        success, reward = self.task.success, 0.0
        if success is None and playing:
            reward = self._status[SCORE] - before[SCORE]
            if self._status[TURN] == before[TURN]:
                reward += FROZEN_TURN_PENALTY
        if done:
            return DEATH, reward
        if self._steps >= self._max_episode_steps:  # a success on this very step doesn't count
            return ABORTED, reward
        if success is None or self._succeeded or not playing:
            return RUNNING, reward
        glyphs = self.last_observation[self._glyph_index]
        if not success(self.message, self._status, glyphs):
            return RUNNING, reward
        self._succeeded = True
        return (TASK_SUCCESSFUL if self.task.ends_on_success else RUNNING), SUCCESS_REWARD

    def _explore(self) -> None:
        """Count the glyphs seen of this level; after the game there is nothing to see."""
        seen = count_seen(self.last_observation[self._glyph_index])
        self._explored[self._status[BRANCH], self._status[LEVEL]] = seen
        self._deepest = max(self._deepest, self._status[DEPTH])

    def _progress(self) -> dict[str, Any]:
        status = self._status
        return {
            "score": status[SCORE],
            "dlvl": status[DEPTH],
            "deepest": self._deepest,
            "gold": status[GOLD],
            "xlvl": status[EXPERIENCE_LEVEL],
            "turns": status[TURN],
            "scout": sum(self._explored.values()),
        }


ABORTED, RUNNING, DEATH, TASK_SUCCESSFUL = NetHackTask.StepStatus
