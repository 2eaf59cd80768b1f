"""A trained policy that plays, outside Sample Factory's loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import gymnasium
import numpy as np
import torch
from sample_factory.algo.utils.rl_utils import prepare_and_normalize_obs
from sample_factory.model.actor_critic import create_actor_critic
from sample_factory.model.model_utils import get_rnn_size

from motif.errors import CheckpointError
from motif.games.game import Observation, find_game
from motif.play.evaluation import is_scripted
from motif.play.players import run_and_steps
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
        self.game, self.caption = self.config.game, self.config.caption
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

    def another(self) -> CheckpointPlayer:
        """One that plays another game with the same network."""
        twin = copy.copy(self)
        twin.reset(np.random.default_rng())
        return twin

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last game; actions of the next are drawn from ``rng``."""
        self._rng = rng
        self._state = torch.zeros(1, get_rnn_size(self.config), device=self.device)

    def act(self, observation: Observation) -> int:
        """The index of the next action, given the game's arrays."""
        return self.act_together([self], [observation])[0]

    @staticmethod
    def act_together(
        players: Sequence[CheckpointPlayer], observations: Sequence[Observation]
    ) -> list[int]:
        """The next action of each player, all of one network: :meth:`another`'s."""
        first = players[0]
        seen = [first._game.policy_observation(observation) for observation in observations]
        batch = {key: np.stack([arrays[key] for arrays in seen]) for key in seen[0]}
        with torch.inference_mode():
            inputs = prepare_and_normalize_obs(first._policy, batch)
            states = torch.cat([player._state for player in players])
            core, states = first._policy.forward_core(first._policy.forward_head(inputs), states)
            result = first._policy.forward_tail(core, values_only=False, sample_actions=False)
            logits = result["action_logits"].double().cpu().numpy()
        # Adding Gumbel noise and taking the largest draws from the softmax.
        noise = [player._rng.gumbel(size=logits.shape[1]) for player in players]
        for player, state in zip(players, states.split(1)):
            player._state = state
        actions: list[int] = np.argmax(logits + noise, axis=1).tolist()
        return actions


def load_player(checkpoint: str) -> CheckpointPlayer:
    """The policy that ``RUN[@STEPS]`` names, on the CPU.

    Raises:
        CheckpointError: it isn't there, or is damaged.
    """
    folder, steps = run_and_steps(checkpoint)
    return CheckpointPlayer(folder, env_steps=steps)


def task_of(checkpoints: Sequence[str], game: str) -> str:
    """What the first run among them was trained on; without one, the game's first task."""
    found = find_game(game)
    for checkpoint in checkpoints:
        if not is_scripted(found, checkpoint):
            task: str = read_run_config(run_and_steps(checkpoint)[0]).root_env
            return task
    return next(iter(found.tasks))


def _num_actions(weights: Mapping[str, torch.Tensor]) -> int:
    return len(weights["action_parameterization.distribution_linear.bias"])
