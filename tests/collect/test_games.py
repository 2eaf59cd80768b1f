"""Games on real NetHack."""

from __future__ import annotations

import numpy as np
import pytest

from motif import messages
from motif.collect.games import record_game
from motif.collect.sources import open_task
from motif.errors import ConfigError
from motif.games.game import check_task
from motif.games.nethack.adapter import NetHack
from motif.play.players import RandomPlayer

pytestmark = pytest.mark.nle
GAME = NetHack()


@pytest.fixture
def environment():
    made = open_task(GAME, "NetHackScore-v1", 120)
    yield made
    made.close()


def play(environment, seed, index):
    return record_game(GAME, environment, RandomPlayer(environment.action_space.n), seed, index)


def test_a_game_has_every_array_and_starts_with_the_reset_observation(environment):
    game = play(environment, 777, 0)
    shapes = {key: array.shape[1:] for key, array in game.arrays.items()}
    assert shapes == {
        "message": (256,),
        "blstats": (27,),
        "tty_chars": (24, 80),
        "tty_colors": (24, 80),
        "rewards": (),
    }
    assert {key: array.dtype.name for key, array in game.arrays.items()} == {
        "message": "uint8",
        "blstats": "int64",
        "tty_chars": "uint8",
        "tty_colors": "int8",
        "rewards": "float32",
    }
    # reset and 119 steps: the 120th ends the game, and NLE has nothing to show then
    assert len(game) == 120
    assert game.arrays["blstats"][0, 20] == 1  # turn
    # he stands on them; on some days the moon is spoken of before
    assert messages.decode(game.arrays["message"][0]).endswith("$ - 3 gold pieces.")
    assert game.arrays["rewards"][0] == 0.0
    assert game.arrays["blstats"].any(axis=1).all()


def test_rewards_are_those_of_the_step_that_led_to_the_observation(environment):
    game = play(environment, 777, 0)
    score, turn = game.arrays["blstats"][:, 9], game.arrays["blstats"][:, 20]
    expected = np.diff(score) - 0.01 * (np.diff(turn) == 0)
    np.testing.assert_allclose(game.arrays["rewards"][1:], expected, atol=1e-6)
    assert game.score >= score[-1]
    assert game.turns == turn[-1]
    assert game.experience_level >= 1
    assert game.deepest_level == game.arrays["blstats"][:, 12].max() >= 1
    assert (game.character, game.player) == ("mon-hum-neu-mal", "random")


def test_a_game_depends_on_seed_and_index_not_on_the_games_before(environment):
    for index in range(3):
        third = play(environment, 5, index)
    fresh = open_task(GAME, "NetHackScore-v1", 120)
    alone = play(fresh, 5, 2)
    fresh.close()
    assert {key: third.arrays[key].tobytes() for key in third.arrays} == {
        key: alone.arrays[key].tobytes() for key in alone.arrays
    }
    assert play(environment, 6, 2).arrays["tty_chars"].tobytes() != (
        alone.arrays["tty_chars"].tobytes()
    )


def test_the_screen_of_a_dead_hero_is_not_an_observation():
    environment = open_task(GAME, "NetHackScore-v1", 5000)
    for index in range(20):
        game = play(environment, 1, index)
        if len(game) < 5000:
            break
    environment.close()
    assert len(game) < 5000
    screens = [bytes(screen) for screen in game.arrays["tty_chars"]]
    assert not any(b"top ten list" in screen for screen in screens)
    assert game.arrays["blstats"].any(axis=1).all()


def test_unknown_task_lists_the_tasks():
    with pytest.raises(ConfigError, match=r"'NetHackChess-v1'; there are: NetHackScore-v1, "):
        check_task(GAME, "NetHackChess-v1", "--task")


def test_random_player_follows_its_generator():
    player = RandomPlayer(23)
    draws = []
    for _ in range(2):
        player.reset(np.random.default_rng(3))
        draws.append([player.act({}) for _ in range(300)])
    assert draws[0] == draws[1]
    assert set(draws[0]) == set(range(23))
