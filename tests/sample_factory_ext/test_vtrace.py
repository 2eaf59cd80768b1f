"""V-trace as Sample Factory's learner computes it, against the formula of the IMPALA paper."""

from __future__ import annotations

import contextlib
import math
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


def learner_terms(values, log_probs, old_log_probs, rewards, dones, valids, rollout):
    """What goes into the losses that the learner trains on."""
    learner, seen = Learner.__new__(Learner), {}
    flags = ["--use_rnn", "False", "--rollout", str(rollout), "--recurrence", str(rollout)]
    learner.cfg = AttrDict(vars(parse_rl_args([*flags, "--batch_size", str(64 * rollout)])))
    learner.timing, learner.device = Timing(), torch.device("cpu")
    learner.actor_critic = TablePolicy(values, log_probs)
    learner.exploration_loss_func = lambda *arguments: 0.0
    learner.kl_loss_func = lambda *arguments: (None, 0.0)
    learner._policy_loss = lambda ratio, adv, low, high, *rest: seen.update(
        ratio=ratio, adv=adv, bounds=(low, high)
    )
    learner._value_loss = lambda new, old, target, clip, *rest: seen.update(
        target=target, value_clip=clip
    )
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
    return seen


def learner_targets(*arguments):
    """Value targets, normalised advantages and ratios."""
    seen = learner_terms(*arguments)
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


# The losses around it, and one step of the optimiser


def test_ratios_and_values_are_clipped_as_in_the_release():
    seen = learner_terms(*random_batch(11))
    assert seen["bounds"] == (pytest.approx(1 / 1.1), pytest.approx(1.1))
    assert seen["value_clip"] == 1.0


def test_even_small_advantages_get_a_deviation_of_1():
    """Their deviation has a floor of 1e-7, where the release has 1e-3."""
    values, log_probs, _, rewards, dones, valids, rollout = random_batch(12)
    dones[:], valids[:], values[:] = 1, True, 0
    _, advantages, _ = learner_targets(
        values, log_probs, log_probs, rewards * 1e-5, dones, valids, rollout
    )
    assert advantages.std(ddof=1) == pytest.approx(1.0, rel=1e-3)
    _, advantages, _ = learner_targets(
        values, log_probs, log_probs, rewards * 0 + 0.5, dones, valids, rollout
    )
    assert not advantages.any()


def test_losses_by_hand():
    learner = Learner.__new__(Learner)
    learner.cfg = AttrDict(vars(parse_rl_args([])))
    everything = torch.ones(2, dtype=torch.bool), 0
    ratio, advantage = torch.tensor([2.0, 0.5]), torch.tensor([1.0, -1.0])
    policy = learner._policy_loss(ratio, advantage, 1 / 1.1, 1.1, *everything)
    assert policy.item() == pytest.approx(-(1.1 - 1 / 1.1) / 2)
    new, old, target = torch.tensor([2.0, 0.5]), torch.zeros(2), torch.tensor([3.0, 0.5])
    value = learner._value_loss(new, old, target, 1.0, *everything)
    assert value.item() == pytest.approx(0.5 * (4.0 + 0.0) / 2)  # (0 + 1 - 3)², not (2 - 3)²
    uniform = SimpleNamespace(entropy=lambda: torch.full((2,), math.log(23)))
    exploration = learner._entropy_exploration_loss(uniform, *everything)
    assert exploration.item() == pytest.approx(-0.003 * math.log(23))


@pytest.mark.filterwarnings("ignore:Converting a tensor")  # Sample Factory's
def test_a_step_of_the_optimiser():
    """Gradients of norm 4 at most; the learning rate falls with the share of valid samples."""
    learner, weight = Learner.__new__(Learner), torch.nn.Linear(9, 1, bias=False)
    learner.cfg = AttrDict(vars(parse_rl_args([])))
    torch.nn.init.zeros_(weight.weight)
    learner.timing, learner.device, learner.actor_critic = Timing(), torch.device("cpu"), weight
    learner.curr_lr, learner.train_step, learner.policy_id = learner.cfg.learning_rate, 0, 0
    learner.optimizer = torch.optim.Adam(weight.parameters(), lr=1.0)
    learner.param_server = SimpleNamespace(policy_lock=contextlib.nullcontext())
    learner.policy_versions_tensor = torch.zeros(1)
    never = dict.fromkeys(("invoke_after_each_minibatch", "invoke_after_each_epoch"), lambda: False)
    learner.lr_scheduler = SimpleNamespace(**never)
    learner._should_save_summaries = learner._after_optimizer_step = lambda: False
    learner._calculate_losses = lambda batch, invalid: (
        *(None, 100 * weight.weight.sum(), torch.tensor(0.0)),
        *(torch.zeros(1), torch.tensor(0.0), torch.tensor(0.0), {}),
    )
    before = weight.weight.detach().clone()
    learner._train({}, 1024, 1024, num_invalids=256)
    assert weight.weight.grad.norm().item() == pytest.approx(4.0, rel=1e-4)
    # Adam's first step is the learning rate, whatever the gradient.
    step = (before - weight.weight).detach()
    torch.testing.assert_close(step, torch.full_like(step, 0.75e-4), rtol=1e-2, atol=0)
