"""NetHack behind the door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motif.errors import ConfigError
from motif.games.game import find_game
from motif.games.nethack.adapter import NetHack

pytestmark = pytest.mark.nle
GAME = NetHack()


def test_it_is_found_by_its_name_and_has_the_tasks_of_the_paper():
    game = find_game("nethack")
    assert game.name == "nethack"
    assert len(game.tasks) == 9
    assert [name for name, task in game.tasks.items() if not task.has_success] == [
        "NetHackScore-v1"
    ]
    assert game.rules.is_file()
    assert sorted(path.stem for path in game.prompts.glob("*.yaml")) == [
        "default",
        "rating",
        "rating_reworded",
        "reworded",
        "short",
    ]
    assert game.judges.is_file()


def test_what_it_observes():
    env = GAME.make("NetHackScore-v1", max_steps=3)
    GAME.seed(env, 3, 4)
    observation, info = env.reset()
    assert set(GAME.arrays) <= set(observation)
    assert set(GAME.info_columns) <= set(info)
    assert len(GAME.message(observation)) == 256
    chars, colors = GAME.screen(observation)
    assert chars.shape == colors.shape == (24, 80)
    seen = GAME.policy_observation(observation)
    assert GAME.policy_space.contains(seen)
    assert not GAME.is_over(observation)
    *_, last = steps = [env.step(0) for _ in range(3)]
    assert [terminated for _, _, terminated, _, _ in steps] == [False, False, True]
    assert {*GAME.info_columns, *GAME.more_columns, "end"} <= set(last[4])
    assert GAME.is_over({"blstats": np.zeros(27)})
    env.close()


def test_a_folder_that_the_locale_cannot_name():
    with pytest.raises(ConfigError, match=r"can't record into .*LC_ALL=C\.UTF-8"):
        GAME.make("NetHackScore-v1", record=Path("r\udcc3c"))
