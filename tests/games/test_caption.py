"""What --caption makes of a game's messages."""

from __future__ import annotations

import pytest
from corridor import CorridorGame

from motif.errors import ConfigError
from motif.games.caption import steps_told, tell_change, tell_history
from motif.games.game import open_game
from motif.messages import decode


@pytest.mark.parametrize(
    "kind, steps", [("message", 1), ("change", 2), ("history:1", 1), ("history:12", 12)]
)
def test_kinds(kind, steps):
    assert steps_told(kind) == steps


@pytest.mark.parametrize("kind", ["", "messages", "history", "history:", "history:0", "history:-1"])
def test_kinds_that_there_are_not(kind):
    with pytest.raises(ConfigError, match="there are message, change and history:K, K 1 to 999"):
        steps_told(kind)


def test_a_change_in_words():
    before = {"hit points": 9, "gold pieces": 0, "hunger": "none", "dungeon levels": 1}
    now = {"hit points": 6, "gold pieces": 1, "hunger": "Hungry", "dungeon levels": 1}
    assert tell_change(("", "You hear a door."), {}, now) == "You hear a door."
    assert tell_change(("It's a wall.", "The newt bites!"), before, now) == (
        "It's a wall. -> The newt bites! (3 hit points lost, 1 gold piece gained, hunger: Hungry)"
    )
    assert tell_change(("It's a wall.", ""), now, now) == "It's a wall."


def test_a_history_in_lines():
    assert tell_history(["", "a", "a", "", "b"]) == "a (x2)\nb"
    assert tell_history(["", ""]) == ""


def test_captions_take_the_place_of_messages():
    env = open_game(CorridorGame(), "Coin-v0", "history:3", max_steps=9)
    observation, _ = env.reset(seed=1)
    assert decode(observation["message"]) == "You wake up."
    for _ in range(7):
        observation, *_ = env.step(0)
    assert decode(observation["message"]) == "You bump into the wall. (x3)"
    assert decode(observation["raw_message"]) == "You bump into the wall."
    observation, _ = env.reset()
    assert decode(observation["message"]) == "You wake up."


def test_the_oldest_is_cut():
    env = open_game(CorridorGame(), "Coin-v0", "history:30", max_steps=50)
    env.reset(seed=1)
    for step in range(40):
        observation, *_ = env.step(step % 2)
    text = decode(observation["message"])
    assert len(text) == 256
    assert text.endswith(("You stand on cell 1.", "You stand on cell 2."))
    assert not text.startswith("You wake up.")


@pytest.mark.nle
def test_nethack_tells_of_its_status(tmp_path):
    from motif.collect.sources import open_task
    from motif.games.nethack.adapter import NetHack
    from motif.play.players import RandomPlayer
    from motif.play.rollout import play_episode, seeded

    game = NetHack()
    env = open_task(game, "NetHackScore-v1", 300, "change")
    rng, seeds = seeded(3)
    said = [
        decode(step.message)
        for step, _ in play_episode(game, env, RandomPlayer(env.action_space.n), rng, seeds)
    ]
    env.close()
    assert not any("->" in text for text in said[:1])
    assert any(" -> " in text for text in said)
    assert any("hit point" in text for text in said)


@pytest.mark.nle
def test_a_scripted_player_reads_what_the_game_says():
    from motif.collect.sources import open_task
    from motif.games.nethack.adapter import NetHack
    from motif.play.rollout import play_episode, seeded

    game, played = NetHack(), []
    for kind in ("message", "history:4"):
        env = open_task(game, "NetHackScore-v1", 150, kind)
        steps = play_episode(game, env, game.players["explorer"](env), *seeded(8))
        played.append([bytes(step.observation["blstats"]) for step, _ in steps])
        env.close()
    assert played[0] == played[1]
