"""Games run the installed library's code, and play as they do with their own copy of it."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

nethack = pytest.importorskip("nle.nethack").nethack

from motif.games.nethack import environment  # noqa: E402
from motif.games.nethack.adapter import NetHack  # noqa: E402
from motif.games.nethack.shared_code import share_code  # noqa: E402

pytestmark = [
    pytest.mark.nle,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is shared"),
]
GAME = NetHack()


@pytest.fixture
def env():
    env = GAME.make("NetHackScore-v1")
    yield env
    env.close()


def executable(path_or_inode):
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps]
    return [line for line in lines if line[1] == "r-xp" and path_or_inode in (line[4], line[-1])]


def test_after_each_reset_a_game_runs_the_installed_code(env):
    game = env.unwrapped.nethack
    own = str(os.fstat(game._dl.fileno()).st_ino)
    before = len(executable(str(nethack.DLPATH)))
    for _ in range(3):  # a reset loads the copy again
        env.reset()
        assert not executable(own)
        assert len(executable(str(nethack.DLPATH))) == before + 1
        env.step(0)


def test_it_says_how_much_was_shared(env, monkeypatch):
    monkeypatch.setattr(environment, "share_code", lambda game: 0)
    env.reset()
    assert share_code(env.unwrapped.nethack) > 10**6
    assert share_code(env.unwrapped.nethack) == 0  # it is, already


def test_a_game_without_a_copy_of_its_own_is_left_alone():
    assert share_code(object()) == 0


def play(seed, steps=1500):
    env, rng, seen = GAME.make("NetHackScore-v1"), np.random.default_rng(seed), []
    env.unwrapped.seed(seed, seed, False)
    env.reset()
    for action in rng.integers(0, 23, steps).tolist():
        observation, reward, ended, *_ = env.step(action)
        seen.append((reward, observation["tty_chars"].tobytes(), observation["blstats"].tobytes()))
        if ended:
            env.unwrapped.seed(seed, seed, False)
            env.reset()
    env.close()
    return seen


def test_the_same_games_are_played(monkeypatch):
    shared = play(3)
    monkeypatch.setattr(environment, "share_code", lambda game: 0)
    assert play(3) == shared
