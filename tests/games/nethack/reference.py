"""A slow, plain reading of the tasks and of the policy's observations, to compare ours with.

The game is stepped by NLE's own ``base.NLE.step`` and rewarded by NLE's own score task; nothing of
``motif`` is used but the drawn font.
"""

from __future__ import annotations

import numpy as np
from nle import nethack
from nle.env import tasks

from motif.games.nethack import observations

VGA = ["000000", "800000", "008000", "808000", "000080", "800080", "008080", "808080"]
VGA += ["c0c0c0", "ff0000", "00ff00", "ffff00", "0000ff", "ff00ff", "00ffff", "ffffff"]


def text_of(message: np.ndarray) -> str:
    return bytes(message).decode("latin-1")


class ReferenceScore(tasks.NetHackScore):
    """NLE's score task with the two changes that all tasks share."""

    def step(self, action):
        key = tasks.TASK_ACTIONS[action]
        shown = text_of(self.last_observation[self._message_index])
        if "What do you want to eat" in shown:
            wanted, key = key, ord(" ")
            if wanted == ord("y"):
                after = shown.partition("[")[2]
                if after[:1].isascii() and after[:1].isalpha():
                    key = ord(after[0])
        self.actions = (key,)
        return super().step(0)

    def _perform_known_steps(self, observation, done, exceptions=True):
        while not done and observation[self._internal_index][3]:
            message = observation[self._message_index]
            before = message.copy()
            observation, done = self.nethack.step(ord(" "))
            if "You descend the stairs." in text_of(before):
                message[:] = before
        return super()._perform_known_steps(observation, done, exceptions)


class ReferenceStaircase(ReferenceScore):
    """50 for the message of a descent, seen on the second level of a branch."""

    StepStatus = tasks.NetHackStaircase.StepStatus

    def _is_episode_end(self, observation):
        descended = "You descend the stairs" in text_of(observation[self._message_index])
        if descended and observation[self._blstats_index][24] == 2:
            return self.StepStatus.TASK_SUCCESSFUL
        return self.StepStatus.RUNNING

    def _reward_fn(self, last_observation, action, observation, end_status):
        return 50.0 if end_status == self.StepStatus.TASK_SUCCESSFUL else 0.0


def picture(tty_chars: np.ndarray, tty_colors: np.ndarray, x: int, y: int) -> np.ndarray:
    """(3, 72, 72) uint8, pixel by pixel."""
    coverage = np.load(observations.__file__.replace("observations.py", "font.npy"))
    drawn = np.zeros((3, 72, 72), np.uint8)
    for row in range(12):
        for column in range(12):
            tty_row, tty_column = y - 6 + row, x - 6 + column
            if not (0 <= tty_row < 24 and 0 <= tty_column < 80):
                continue
            covered = coverage[tty_chars[tty_row, tty_column]] / 255
            color = bytes.fromhex(VGA[tty_colors[tty_row, tty_column]])
            for channel in range(3):
                tile = np.rint(covered * color[channel])
                drawn[channel, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6] = tile
    return drawn


def scaled_status(blstats: np.ndarray) -> np.ndarray:
    """(27,) float32, one statistic after the other."""
    divisors = {"x": 79, "y": 21, "gold": 1000, "turn": 1000, "experience": 100, "hunger": 1}
    index = {"x": 0, "y": 1, "gold": 13, "turn": 20, "experience": 19, "hunger": 21}
    by_index = {index[name]: divisor for name, divisor in divisors.items()}
    by_index.update(dict.fromkeys((3, 4, 5, 6, 7, 8, 10, 11, 14, 15, 16, 18, 22), 10))
    scaled = np.zeros(27, np.float32)
    for position, divisor in by_index.items():
        scaled[position] = min(5.0, max(-5.0, float(blstats[position]) / divisor))
    return scaled


def picture_of(observation: dict[str, np.ndarray]) -> np.ndarray:
    x, y = observation["blstats"][nethack.NLE_BL_X], observation["blstats"][nethack.NLE_BL_Y]
    return picture(observation["tty_chars"], observation["tty_colors"], int(x), int(y))
