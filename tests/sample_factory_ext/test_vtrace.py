"""V-trace as Sample Factory's learner computes it, against the formula of the IMPALA paper."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sample_factory.algo.learning.learner import Learner
from sample_factory.utils.attr_dict import AttrDict
from sample_factory.utils.timing import Timing

from sample_factory_ext.parameters import parse_rl_args


class TablePolicy:
    """Answers with given values and log-probabilities, whatever it sees."""

    action_space = None

    def __init__(self, values, log_probs):
        self.values, self.log_probs = values, log_probs

    def forward_head(self, observations):
        return observations

    def forward_core(self, head, rnn_states):
        return head, rnn_states

    def forward_tail(self, core, values_only, sample_actions):
        return {"values": self.values}

    def action_distribution(self):
        return SimpleNamespace(log_prob=lambda actions: self.log_probs)


def learner_targets(values, log_probs, old_log_probs, rewards, dones, valids, rollout):
    """Value targets and normalised advantages that the learner trains on."""
    learner, seen = Learner.__new__(Learner), {}
    flags = ["--use_rnn", "False", "--rollout", str(rollout), "--recurrence", str(rollout)]
    learner.cfg = AttrDict(vars(parse_rl_args([*flags, "--batch_size", str(64 * rollout)])))
    learner.timing, learner.device = Timing(), torch.device("cpu")
    learner.actor_critic = TablePolicy(values, log_probs)
    learner.exploration_loss_func = lambda *arguments: 0.0
    learner.kl_loss_func = lambda *arguments: (None, 0.0)
    learner._policy_loss = lambda ratio, adv, *rest: seen.update(ratio=ratio, adv=adv)
    learner._value_loss = lambda new, old, target, *rest: seen.update(target=target)
    zeros = torch.zeros(len(values))
    batch = AttrDict(
        normalized_obs=zeros[:, None],
        rnn_states=zeros[:, None],
        valids=valids,
        actions=zeros,
        log_prob_actions=old_log_probs,
        rewards_cpu=rewards,
        dones_cpu=dones,
        action_logits=zeros,
        values=zeros,
    )
    learner._calculate_losses(batch, int((~valids).sum()))
    return seen["target"].numpy(), seen["adv"].numpy(), seen["ratio"].numpy()


def plain_vtrace(values, ratios, rewards, dones, gamma=0.99, rho_bar=1.0, c_bar=1.0):
    """Targets and advantages of one trajectory by explicit sums (IMPALA, equation 1).

    Beyond its last step the value is taken to be (v - r) / γ of the last step, which makes that
    step's error zero.
    """
    steps = len(values)
    rho, c = np.minimum(rho_bar, ratios), np.minimum(c_bar, ratios)
    beyond = (values[-1] - rewards[-1]) / gamma
    following = np.append(values[1:], beyond)
    alive = 1.0 - dones
    errors = rho * (rewards + gamma * alive * following - values)
    targets = np.zeros(steps)
    for t in range(steps):
        weight, total = 1.0, 0.0
        for k in range(t, steps):
            total += weight * errors[k]
            weight *= gamma * alive[k] * c[k]
        targets[t] = values[t] + total
    following_targets = np.append(targets[1:], beyond)
    advantages = rho * (rewards + gamma * alive * following_targets - values)
    return targets, advantages


def random_batch(seed, trajectories=6, rollout=8):
    generator = torch.Generator().manual_seed(seed)
    size = trajectories * rollout
    values, rewards, log_probs, old = (torch.randn(size, generator=generator) for _ in range(4))
    dones = (torch.rand(size, generator=generator) < 0.15).float()
    valids = torch.rand(size, generator=generator) < 0.9
    return values, log_probs - 2, old - 2, rewards, dones, valids, rollout


@pytest.mark.parametrize("seed", range(5))
def test_targets_and_advantages_are_those_of_the_paper(seed):
    values, log_probs, old, rewards, dones, valids, rollout = random_batch(seed)
    targets, advantages, ratio = learner_targets(
        values, log_probs, old, rewards, dones, valids, rollout
    )
    ratios = np.clip(np.exp((log_probs - old).numpy()), 0.05, 20)
    np.testing.assert_allclose(ratio, ratios, rtol=1e-5)
    expected_targets, expected_advantages = [], []
    for start in range(0, len(values), rollout):
        part = slice(start, start + rollout)
        trajectory = (array[part].numpy() for array in (values, rewards, dones))
        v, r, d = (array.astype(np.float64) for array in trajectory)
        target, advantage = plain_vtrace(v, ratios[part], r, d)
        expected_targets.append(target)
        expected_advantages.append(advantage)
    np.testing.assert_allclose(targets, np.concatenate(expected_targets), rtol=1e-4, atol=1e-5)
    expected = np.concatenate(expected_advantages)
    counted = expected[valids.numpy()]  # mean and deviation are those of the valid samples
    expected = (expected - counted.mean()) / counted.std(ddof=1)
    np.testing.assert_allclose(advantages, expected, rtol=1e-3, atol=1e-4)


def test_the_last_step_of_a_rollout_has_no_error_of_its_own():
    values, log_probs, _, rewards, dones, valids, rollout = random_batch(9)
    dones[:], valids[:] = 0, True
    targets, *_ = learner_targets(values, log_probs, log_probs, rewards, dones, valids, rollout)
    last = slice(rollout - 1, None, rollout)
    np.testing.assert_allclose(targets[last], values[last].numpy(), rtol=1e-5, atol=1e-6)


def test_a_finished_episode_is_worth_its_reward():
    values, log_probs, _, rewards, dones, valids, rollout = random_batch(10)
    dones[:], valids[:] = 1, True
    targets, *_ = learner_targets(values, log_probs, log_probs, rewards, dones, valids, rollout)
    np.testing.assert_allclose(targets, rewards.numpy(), rtol=1e-5, atol=1e-6)
