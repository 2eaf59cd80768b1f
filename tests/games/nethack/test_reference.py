"""Ours against the plain reference, on live games with the same seeds."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import reference
from nle.env.tasks import TASK_ACTIONS

import motif.games.nethack  # noqa: F401  registers the tasks
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.observations import (
    compact_observation,
    draw,
    picture_observation,
)

pytestmark = pytest.mark.nle
KEYS = [int(action) for action in TASK_ACTIONS]
TOWARDS = dict(zip(((0, -1), (1, 0), (0, 1), (-1, 0)), "kljh"))
TOWARDS |= dict(zip(((1, -1), (1, 1), (-1, 1), (-1, -1)), "unby"))


def act(rng, observation):
    """Mostly random; drawn to stairs in sight, down which it goes; answers eating questions."""
    question = bytes(observation["message"])
    if b"Continue eating" in question:  # he would choke
        return KEYS.index(ord("n"))
    if b"want to eat" in question and rng.random() < 0.1:
        return KEYS.index(ord("y"))
    rows, columns = np.nonzero(observation["tty_chars"][1:22] == ord(">"))
    chance = rng.random()
    if len(rows) and chance < 0.7:
        x, y = observation["blstats"][:2]
        direction = int(np.sign(columns[0] - x)), int(np.sign(rows[0] - y))
        return KEYS.index(ord(TOWARDS.get(direction, ">")))
    return KEYS.index(ord(">")) if 0.7 < chance < 0.8 else int(rng.integers(len(KEYS)))


def play_both(ours, plain, seed, steps, each_step):
    """Play one seeded game in both; returns the rewards. ``each_step`` compares observations."""
    rng = np.random.default_rng(seed)
    for env in (ours, plain):
        env.unwrapped.seed(seed, seed + 1, False)
    (observation, _), (expected, _) = ours.reset(), plain.reset()
    each_step(0, observation, expected)
    rewards = []
    for step in range(1, steps + 1):
        action = act(rng, expected)
        observation, reward, terminated, truncated, info = ours.step(action)
        expected, wanted, done, _, plain_info = plain.step(action)
        assert (reward, terminated) == (wanted, done), step
        assert not truncated
        assert info["end_status"] == plain_info["end_status"]
        each_step(step, observation, expected)
        rewards.append(reward)
        if done:
            break
    return rewards


def same_arrays(step, observation, expected):
    for key in NetHack.arrays:
        assert np.array_equal(observation[key], expected[key]), (step, key)


@pytest.fixture
def make_pair():
    made = []

    def make(task, reference_class, **settings):
        ours = gymnasium.make(task, observation_keys=NetHack.arrays)
        ours.unwrapped._max_episode_steps = settings.get("max_episode_steps", 5000)
        plain = reference_class(observation_keys=NetHack.arrays, **settings)
        made.extend([ours, plain])
        return ours, plain

    yield make
    for env in made:
        env.close()


def test_score_games_are_the_same(make_pair):
    ours, plain = make_pair("NetHackScore-v1", reference.ReferenceScore)
    messages, rewards, games = set(), [], (1, 8, 10, 19, 33)

    def each_step(step, observation, expected):
        same_arrays(step, observation, expected)
        messages.add(bytes(expected["message"]))

    for seed in games:
        rewards += play_both(ours, plain, seed, 1500, each_step)
    assert len(rewards) > 1000 * len(games) / 2
    assert -0.01 in rewards  # a frozen turn
    assert any(reward >= 4 for reward in rewards)
    assert any(b"want to eat" in message for message in messages)
    assert any(b"finish" in message for message in messages)  # something was eaten


def test_the_same_environment_plays_several_games(make_pair):
    ours, plain = make_pair("NetHackScore-v1", reference.ReferenceScore, max_episode_steps=150)
    for seed in (21, 22, 23):
        rewards = play_both(ours, plain, seed, 200, same_arrays)
        assert len(rewards) == 150  # both end at the limit, with the same last observation


def test_staircase_games_are_the_same(make_pair):
    ours, plain = make_pair("NetHackStaircase-v1", reference.ReferenceStaircase)
    ends = []
    for seed in (4, 12, 27, 33, 36, 37, 38):
        rewards = play_both(ours, plain, seed, 600, same_arrays)
        assert set(rewards[:-1]) <= {0.0}
        ends.append(rewards[-1])
    assert ends.count(50.0) >= 2  # the stairs are in sight of the start in several of these
    assert set(ends) <= {0.0, 50.0}


def test_the_policy_reads_the_same_pictures_and_status(make_pair):
    ours, plain = make_pair("NetHackScore-v1", reference.ReferenceScore)
    compared = []

    def each_step(step, observation, expected):
        if step % 12:
            return
        read = picture_observation(observation)
        assert np.array_equal(read["picture"], reference.picture_of(expected)), step
        assert np.array_equal(draw(compact_observation(observation)["cells"]), read["picture"])
        status = reference.scaled_status(expected["blstats"])
        np.testing.assert_allclose(read["vector_obs"], status, rtol=1e-6)
        assert np.array_equal(read["message"], expected["message"])
        compared.append(read["picture"].any())

    for seed in (8, 10, 33):
        play_both(ours, plain, seed, 1000, each_step)
    assert sum(compared) > 150
