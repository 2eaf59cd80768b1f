"""A trained policy outside Sample Factory's loop."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from sample_factory.algo.utils.rl_utils import prepare_and_normalize_obs

from motif.errors import CheckpointError
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.observations import compact_observation
from sample_factory_ext.player import CheckpointPlayer
from sample_factory_ext.run_folder import policy_checkpoints

pytestmark = pytest.mark.nle


@pytest.fixture(scope="module")
def observations():
    env = NetHack().make("NetHackScore-v1")
    env.unwrapped.seed(3, 4, False)
    seen = [{key: array.copy() for key, array in env.reset()[0].items()}]
    for action in range(20):
        observation, *_ = env.step(action % 23)
        seen.append({key: array.copy() for key, array in observation.items()})
    env.close()
    return seen


def play(player, seed, observations):
    player.reset(np.random.default_rng(seed))
    return [player.act(observation) for observation in observations]


def test_actions_depend_on_the_generator_alone(rl_run, observations):
    player = CheckpointPlayer(rl_run)
    first = play(player, 5, observations)
    play(player, 6, observations)
    assert play(player, 5, observations) == first
    assert play(CheckpointPlayer(rl_run), 5, observations) == first
    assert play(player, 6, observations) != first
    assert set(first) <= set(range(23))


def test_it_is_the_last_policy_of_the_run(rl_run):
    player = CheckpointPlayer(rl_run)
    assert player.env_steps == max(policy_checkpoints(rl_run))


def test_actions_are_drawn_from_the_policys_probabilities(rl_run, observations):
    player = CheckpointPlayer(rl_run)
    policy, state = player._policy, torch.zeros(1, 512)
    with torch.inference_mode():
        for observation in observations[:2]:  # the state is carried on
            arrays = compact_observation(observation)
            batch = {key: torch.from_numpy(array[None]) for key, array in arrays.items()}
            inputs = prepare_and_normalize_obs(policy, batch)
            result = policy(inputs, state)
            state = result["new_rnn_states"]
    expected = result["action_logits"][0].softmax(-1).numpy()
    counts = np.zeros(23)
    for seed in range(300):
        counts[play(player, seed, observations[:2])[-1]] += 1
    # five standard deviations of a multinomial
    bound = 5 * np.sqrt(expected * (1 - expected) / 300)
    assert (np.abs(counts / 300 - expected) < bound + 1e-3).all()


def test_a_policy_of_another_network_is_refused(rl_run, tmp_path):
    shutil.copytree(rl_run, tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    (tmp_path / "run/config.json").write_text(json.dumps({**config, "rnn_size": 64}))
    with pytest.raises(CheckpointError, match="its policy is of another network"):
        CheckpointPlayer(tmp_path / "run")
