"""Games of an agent, with the rewards of training."""

from __future__ import annotations

import pytest
from rl_command import short_games

from motif.games.nethack.adapter import NetHack
from motif.play.rollout import Episode, play_episode, play_to_end, seeded, succeeded
from sample_factory_ext.environment import add_intrinsic_reward, message_rewards
from sample_factory_ext.player import CheckpointPlayer

pytestmark = pytest.mark.nle
GAME = NetHack()


@pytest.fixture
def table(rl_run):
    """The player of the short run, its settings, and its task with both rewards."""
    player = CheckpointPlayer(rl_run)
    with short_games(15):
        env = GAME.make(player.config.root_env)
        yield player, player.config, add_intrinsic_reward(env, player.config)
        env.close()


def test_a_message_is_paid_with_the_next_step_and_fades(table):
    player, cfg, env = table
    rewards, threshold = message_rewards(cfg)
    held, seen = None, {}
    for step, game in play_episode(GAME, env, player, *seeded(3)):
        if held is not None:
            assert step.intrinsic == pytest.approx(held)
        seen[step.message] = seen.get(step.message, 0) + 1
        assert step.count == seen[step.message] == game.seen[step.message]
        reward = rewards[step.message]
        held = cfg.llm_reward * reward / step.count**3 if reward > threshold else 0.0
    assert step.ended
    assert game.length == 15
    assert sum(game.income.values()) == pytest.approx(game.intrinsic_return)
    assert game.extrinsic_return == pytest.approx(cfg.extrinsic_scale * game.game_return)


def test_a_seed_plays_the_same_game(table):
    player, _, env = table
    first, again, other = (play_to_end(GAME, env, player, seed) for seed in (3, 3, 4))
    assert first == again != other
    assert 1 <= first.info["turns"] <= 16


@pytest.mark.parametrize(
    ("task", "game_return", "info", "success"),
    [
        ("NetHackScore-v1", 9.0, {}, None),
        ("NetHackOracle-v1", 50.0, {}, True),
        ("NetHackStaircase-v1", 0.0, {}, False),
        ("NetHackStaircase-v1", -1.0, {"solved": 1.0}, True),
        ("NetHackStaircase-v1", 1.0, {"solved": 0.0}, False),
    ],
)
def test_success(task, game_return, info, success):
    assert succeeded(GAME, task, Episode(game_return, info=info)) is success
