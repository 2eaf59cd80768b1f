"""A trained policy that plays, outside Sample Factory's loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gymnasium
import numpy as np
import torch
from sample_factory.algo.utils.rl_utils import prepare_and_normalize_obs
from sample_factory.model.actor_critic import create_actor_critic
from sample_factory.model.model_utils import get_rnn_size

from motif.errors import CheckpointError
from motif.games.game import Observation, find_game
from sample_factory_ext.run_folder import read_policy_checkpoint, read_run_config
from sample_factory_ext.train import register_components


class CheckpointPlayer:
    """Plays with a policy of a run; actions are sampled.

    Args:
        env_steps: of the policy's checkpoint; None: the last one.

    Raises:
        CheckpointError: the run holds no policy, or a damaged one.
    """

    def __init__(
        self,
        run_folder: Path,
        device: str | torch.device = "cpu",
        env_steps: int | None = None,
    ) -> None:
        self.config = read_run_config(run_folder)
        self.device = torch.device(device)
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # one observation at a time is too little work for more
        checkpoint = read_policy_checkpoint(run_folder, self.device, env_steps)
        self.env_steps = int(checkpoint["env_steps"])
        self.name = f"{run_folder.name}@{self.env_steps}"
        register_components()
        self._game = find_game(self.config.game)
        actions = gymnasium.spaces.Discrete(_num_actions(checkpoint["model"]))
        self._policy = create_actor_critic(self.config, self._game.policy_space, actions)
        self._policy.model_to_device(self.device)
        try:
            self._policy.load_state_dict(checkpoint["model"])
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"{run_folder}: its policy is of another network ({reason})"
            ) from None
        self._policy.eval()
        self.reset(np.random.default_rng())

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last game; actions of the next are drawn from ``rng``."""
        self._rng = rng
        self._state = torch.zeros(1, get_rnn_size(self.config), device=self.device)

    def act(self, observation: Observation) -> int:
        """The index of the next action, given the game's arrays."""
        seen = self._game.policy_observation(observation)
        batch = {key: array[None] for key, array in seen.items()}
        with torch.inference_mode():
            inputs = prepare_and_normalize_obs(self._policy, batch)
            core, self._state = self._policy.forward_core(
                self._policy.forward_head(inputs), self._state
            )
            result = self._policy.forward_tail(core, values_only=False, sample_actions=False)
            logits = result["action_logits"][0].double().cpu().numpy()
        # Adding Gumbel noise and taking the largest draws from the softmax.
        return int(np.argmax(logits + self._rng.gumbel(size=logits.shape)))


def _num_actions(weights: Mapping[str, torch.Tensor]) -> int:
    return len(weights["action_parameterization.distribution_linear.bias"])
