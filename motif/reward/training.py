"""Train a reward model on a label set: the loop, its checkpoints, and going on after a stop."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboardX import SummaryWriter
from torch import Tensor
from tqdm import tqdm

from motif.atomic_write import write_json
from motif.cli import command
from motif.device import resolve_device
from motif.errors import CheckpointError
from motif.exported_model import refuse_exported
from motif.file_lock import only_run
from motif.reward.checkpoint import (
    find_checkpoint,
    list_checkpoints,
    read_checkpoint,
    save_checkpoint,
)
from motif.reward.config import FREE_TO_CHANGE, NO_EFFECT, RewardTrainingConfig
from motif.reward.evaluation import Evaluation, evaluate
from motif.reward.losses import count_agreements, preference_loss
from motif.reward.metrics import (
    QUANTILE_FILE,
    History,
    add_row,
    empty_history,
    ratio,
    write_metrics,
)
from motif.reward.model import RewardModel, make_reward_model, side_scores
from motif.reward.training_data import TrainingData, load_training_data


@dataclass
class TrainingState:
    """A run in progress: what its checkpoints keep."""

    model: RewardModel
    optimizer: torch.optim.Adam
    epoch: int = 0  # finished ones
    iteration: int = 0  # optimiser steps
    history: History = field(default_factory=empty_history)


def train_reward(config: RewardTrainingConfig) -> int:
    """Train the reward model of ``config.run_folder``, or go on training it.

    Before the first epoch and after each one the model is validated, and saved with the statistics
    of its rewards. On a CPU, a run that was killed and started again ends with the same files as an
    undisturbed one.

    Raises:
        MotifError: of every kind, for what the user can put right.
    """
    refuse_exported(config.run_folder)
    device = resolve_device(config.device)
    for name, reason in NO_EFFECT.items():
        if getattr(config, name) is not None:
            print(f"note: --{name} has no effect: {reason}", file=sys.stderr)
    data = load_training_data(
        config.dataset_dir,
        config.annotator,
        seed=config.seed,
        soft_labels=config.soft_labels,
        use_blstats=config.use_blstats,
    ).to(device)
    folder = config.run_folder
    busy = CheckpointError(
        f"another run is training in {folder}; wait for it, or choose another --experiment"
    )
    with only_run(folder, busy):
        state = _start(config, device)
        resumed = bool(list_checkpoints(folder))
        if resumed:
            _resume(config, state, data)
        write_json(folder / "cfg.json", asdict(config))
        writer = _open_tensorboard(folder, state.iteration + resumed)
        with contextlib.closing(writer):
            if not resumed:
                _evaluate_and_save(config, state, data, writer)
            for epoch in range(state.epoch, config.num_epochs):
                _train_epoch(config, state, data, writer, epoch)
                _evaluate_and_save(config, state, data, writer)
    print(
        f"{folder}: {state.epoch} epochs. Next: "
        f"{command('agent', llm_reward=0.1, reward_dir=folder)} …"
    )
    return 0


def train_step(
    model: RewardModel, optimizer: torch.optim.Optimizer, data: TrainingData, rows_B: Tensor
) -> Tensor:
    """One optimiser step on the pairs ``rows_B``.

    Returns:
        (3,) float64: summed loss, pairs with a preference that agree, pairs with a preference;
        all from before the step.
    """
    blstats = None if data.blstats is None else data.blstats[rows_B]
    rewards_BPT = model.forward_distinct(data.messages_UC, data.index_NPT[rows_B], blstats)
    scores_BP = side_scores(rewards_BPT)
    loss = preference_loss(scores_BP, data.targets_NP[rows_B])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    agreements = count_agreements(scores_BP.detach(), data.labels_N[rows_B])
    return torch.stack([loss.detach() * len(rows_B), *agreements]).double()


def _train_epoch(
    config: RewardTrainingConfig,
    state: TrainingState,
    data: TrainingData,
    writer: SummaryWriter,
    epoch: int,
) -> None:
    # The order depends on the seed and the epoch alone, so that a resumed run has it too.
    order = np.random.default_rng([config.seed, epoch]).permutation(len(data.train))
    rows = data.train[torch.from_numpy(order).to(data.train.device)]
    totals = torch.zeros(3, dtype=torch.float64, device=rows.device)
    trained = 0
    with tqdm(total=len(rows), unit="pair", desc=f"epoch {epoch + 1}/{config.num_epochs}") as bar:
        for rows_B in torch.split(rows, config.batch_size):
            totals += train_step(state.model, state.optimizer, data, rows_B)
            state.iteration += 1
            trained += len(rows_B)
            loss, agreeing, preferred = totals.tolist()
            accuracy = ratio(agreeing, preferred)
            bar.set_postfix(loss=f"{loss / trained:.4f}", accuracy=_shown(accuracy), refresh=False)
            bar.update(len(rows_B))
        pairs_per_second = trained / bar.format_dict["elapsed"]
    state.epoch = epoch + 1
    row = {"epoch": epoch, "total_train_loss": loss / trained, "total_train_acc": accuracy}
    add_row(state.history, "train_metrics.csv", row)
    scalars = {"train/loss": loss / trained, "train/accuracy": accuracy}
    _log(writer, state.iteration, {**scalars, "train/pairs_per_second": pairs_per_second})


def _evaluate_and_save(
    config: RewardTrainingConfig, state: TrainingState, data: TrainingData, writer: SummaryWriter
) -> None:
    result = evaluate(state.model, data)
    row = {
        "iter": state.iteration,
        "total_val_loss": result.loss,
        "score_validation_accs": result.score_agreement,
        "validation_accs": result.accuracy,
        "unseen_validation_accs": result.unseen_accuracy,
    }
    add_row(state.history, "val_metrics.csv", row)
    quantiles = {f"{level:.2f}": value for level, value in result.quantiles.items()}
    add_row(state.history, QUANTILE_FILE, quantiles)
    content = {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "config": asdict(config),
        "iteration": state.iteration,
        "epoch": state.epoch,
        "reward_mean": result.mean,
        "reward_var": result.variance,
        "quantiles": quantiles,
        "train_messages": data.train_messages,
        "train_rewards": result.train_rewards,
        "history": state.history,
        "fingerprint": data.fingerprint,
    }
    save_checkpoint(config.run_folder, content, keep=config.keep_checkpoints)
    write_metrics(config.run_folder, state.history)
    _report(state, result, writer)


def _report(state: TrainingState, result: Evaluation, writer: SummaryWriter) -> None:
    scalars = {
        "validation/loss": result.loss,
        "validation/accuracy": result.accuracy,
        "validation/accuracy_unseen_message": result.unseen_accuracy,
        "validation/agreement_with_score": result.score_agreement,
        "reward/mean": result.mean,
        "reward/variance": result.variance,
        "reward/median_normalised": result.quantiles[0.5],
    }
    _log(writer, state.iteration, scalars)
    tqdm.write(
        f"iteration {state.iteration}: validation loss {result.loss:.4f}, accuracy "
        f"{_shown(result.accuracy)} (with an unseen message {_shown(result.unseen_accuracy)}, "
        f"against the game's score {_shown(result.score_agreement)})"
    )


def _open_tensorboard(folder: Path, first_step: int) -> SummaryWriter:
    """A new event file; points of a killed run that this one makes again are hidden."""
    name = f".{first_step}"  # two starts within a second must not share a file
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_step, filename_suffix=name)


def _log(writer: SummaryWriter, step: int, scalars: dict[str, float | None]) -> None:
    for name, value in scalars.items():
        if value is not None:
            writer.add_scalar(name, value, step)


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _start(config: RewardTrainingConfig, device: torch.device) -> TrainingState:
    model = make_reward_model(config.encoder_settings(), seed=config.seed).to(device)
    return TrainingState(model, torch.optim.Adam(model.parameters(), lr=config.reward_lr))


def _resume(config: RewardTrainingConfig, state: TrainingState, data: TrainingData) -> None:
    """Bring ``state`` and the CSV files to the last checkpoint.

    Raises:
        CheckpointError: it is damaged, imported, or was made with other settings or data.
    """
    path = find_checkpoint(config.run_folder)
    content = read_checkpoint(path)
    _check_unchanged(config, data, content, path)
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.epoch, state.iteration = content["epoch"], content["iteration"]
    state.history = content["history"]
    write_metrics(config.run_folder, state.history)
    print(f"going on from {path}: {state.epoch} of {config.num_epochs} epochs are done")


def _check_unchanged(
    config: RewardTrainingConfig, data: TrainingData, content: dict[str, Any], path: Path
) -> None:
    afresh = "start afresh with another --experiment"
    if content["optimizer"] is None:
        raise CheckpointError(f"{path} was imported and cannot be trained on; {afresh}")
    for name, value in asdict(config).items():
        before = content["config"].get(name, value)
        if name not in FREE_TO_CHANGE and before != value:
            raise CheckpointError(
                f"{path} was made with --{name} {before}, not {value}; go on with the old value, "
                f"or {afresh}"
            )
    if content["fingerprint"] != data.fingerprint:
        raise CheckpointError(
            f"{path} was trained on other pairs or labels than {config.annotator} in "
            f"{config.dataset_dir} holds now; {afresh}"
        )
