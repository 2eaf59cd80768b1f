"""A learner that trains a bonus beside the policy, and pays it before it learns from a batch.

What NovelD and E3B know of a game's episode goes from one of its rollouts to the next, so they must
come in order: :class:`InOrder`.
"""

from __future__ import annotations

from typing import Any

import torch
from sample_factory.algo.learning.batcher import Batcher, SliceMerger
from sample_factory.algo.learning.learner import Learner
from sample_factory.algo.learning.learner_worker import LearnerWorker
from sample_factory.algo.runners.runner import Runner
from sample_factory.algo.utils.misc import EPISODIC
from sample_factory.algo.utils.shared_buffers import policy_device
from torch import Tensor

from sample_factory_ext.bonuses import BONUSES
from sample_factory_ext.run_folder import BONUS_FIGURES

BONUS = "bonus"  # of a learner's message and of a checkpoint


class BonusLearner(Learner):
    """Its bonus, optimiser and moments are in the policy's checkpoint."""

    def init(self) -> Any:
        """Make the bonus, then all else."""
        cfg, env = self.cfg, self.env_info
        torch.manual_seed(cfg.seed)
        self.bonus = BONUSES[cfg.bonus](cfg, env.obs_space, int(env.action_space.n))
        self.bonus.to(policy_device(cfg, self.policy_id))
        trained = [each for each in self.bonus.parameters() if each.requires_grad]
        self.bonus_optimizer = torch.optim.Adam(trained, lr=cfg.bonus_learning_rate)
        return super().init()

    def _get_checkpoint_dict(self) -> dict[str, Any]:
        state = {"model": self.bonus.state_dict(), "optimizer": self.bonus_optimizer.state_dict()}
        return {**super()._get_checkpoint_dict(), BONUS: state}

    def _load_state(self, checkpoint_dict: dict[str, Any], load_progress: bool = True) -> None:
        super()._load_state(checkpoint_dict, load_progress)
        self.bonus.load_state_dict(checkpoint_dict[BONUS]["model"])
        self.bonus_optimizer.load_state_dict(checkpoint_dict[BONUS]["optimizer"])
        for group in self.bonus_optimizer.param_groups:
            group["lr"] = self.cfg.bonus_learning_rate

    def train(self, batch: Any) -> dict[str, Any] | None:
        """A step of the bonus, and the policy's with the bonus paid."""
        bonus = self._learn(batch)
        paid, others = self.cfg.bonus_reward * bonus, batch["rewards"].abs().sum()
        batch["rewards"] += paid
        stats: dict[str, Any] | None = super().train(batch)
        if stats is not None:
            everything = (paid.sum() + others).clamp(min=torch.finfo(paid.dtype).tiny)
            figures = bonus.mean(), self.bonus.deviation.deviation, paid.sum() / everything
            stats[BONUS] = {name: float(value) for name, value in zip(BONUS_FIGURES, figures)}
        return stats

    def _learn(self, batch: Any) -> Tensor:
        """What the batch is paid (B, T), divided by the running deviation."""
        bonus, loss = self.bonus(batch)
        self.bonus_optimizer.zero_grad()
        loss.backward()
        self.bonus_optimizer.step()
        divided: Tensor = self.bonus.deviation(bonus)
        return divided


class InOrder(SliceMerger):
    """Hands rollouts on as they came; Sample Factory lets those of adjacent buffers overtake."""

    def merge_slices(self, trajectory_slice: slice) -> None:
        """Leave it as it is."""
        self._add_slice(trajectory_slice)

    def _extract_at_most(self, s: slice, batch_size: int) -> slice:
        taken: slice = super()._extract_at_most(s, batch_size)
        if taken.stop < s.stop:  # what is left of it, which is now the last, comes next
            for start in list(self.slice_starts)[:-1]:
                self.slice_starts[start] = self.slice_starts.pop(start)
        return taken


class BonusRunner(Runner):
    """Sample Factory's, mixed in, with the learner above and rollouts in order."""

    def _make_batcher(self, event_loop: Any, policy_id: int) -> Batcher:
        batcher = super()._make_batcher(event_loop, policy_id)
        batcher.slices_for_training = {key: InOrder() for key in batcher.slices_for_training}
        return batcher

    def _make_learner(self, event_loop: Any, policy_id: int, batcher: Batcher) -> LearnerWorker:
        worker = super()._make_learner(event_loop, policy_id, batcher)
        versions = self.buffer_mgr.policy_versions
        worker.learner = BonusLearner(
            self.cfg, self.env_info, versions, policy_id, worker.param_server
        )
        self.policy_msg_handlers[BONUS] = [show_figures]
        return worker


def show_figures(runner: Runner, message: dict[str, Any], policy_id: int) -> None:
    """To where Sample Factory has its means of the last games; these are of the last batches."""
    runner._episodic_stats_handler(runner, {EPISODIC: message[BONUS]}, policy_id)
