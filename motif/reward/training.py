"""Train a reward model on a label set: the loop, its checkpoints, and going on after a stop."""

from __future__ import annotations

import contextlib
import math
import sys
from dataclasses import asdict, dataclass, field
from typing import NoReturn

import numpy as np
import torch
from tensorboardX import SummaryWriter
from torch import Tensor
from tqdm import tqdm

from motif.atomic_write import write_json
from motif.cli import command
from motif.device import resolve_device
from motif.errors import CheckpointError, ConfigError
from motif.exported_model import refuse_exported
from motif.file_lock import only_run
from motif.pairs_dataset import check_origin, origin_flags
from motif.reward.checkpoint import (
    find_checkpoint,
    list_checkpoints,
    not_finite,
    read_checkpoint,
    save_checkpoint,
)
from motif.reward.config import FREE_TO_CHANGE, NO_EFFECT, RewardTrainingConfig, given_flags
from motif.reward.ensemble import bootstrap_counts, ensemble_loss, pessimistic
from motif.reward.evaluation import Evaluation, centre_heads, evaluate
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
from motif.reward.training_data import LabelledPairs, TrainingData, load_training_data

VALIDATION = {  # column of val_metrics.csv: its name in TensorBoard
    "total_val_loss": "loss",
    "validation_accs": "accuracy",
    "unseen_validation_accs": "accuracy_unseen_message",
    "score_validation_accs": "agreement_with_score",
}


@dataclass
class TrainingRun:
    """A run in progress; what stands behind ``writer`` is in its checkpoints."""

    config: RewardTrainingConfig
    data: TrainingData
    model: RewardModel
    optimizer: torch.optim.Adam
    counts_NK: Tensor | None = None  # how often each head's sample has a pair; None: one head
    writer: SummaryWriter = field(init=False)
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
    folder, device = config.run_folder, resolve_device(config.device)
    refuse_exported(folder)
    for name, reason in NO_EFFECT.items():
        if getattr(config, name) is not None:
            print(f"note: --{name} has no effect: {reason}", file=sys.stderr)
    check_origin(config.dataset_dir, game=config.game, caption=config.caption)
    data = load_training_data(
        config.dataset_dir,
        config.annotator,
        seed=config.seed,
        soft_labels=config.soft_labels,
        use_blstats=config.use_blstats,
        label_share=config.label_share,
        label_noise=config.label_noise,
    ).to(device)
    busy = CheckpointError(
        f"another run is training in {folder}; wait for it, or choose another --experiment"
    )
    with only_run(folder, busy):
        heads, penalty = config.reward_ensemble, config.uncertainty_penalty
        model = make_reward_model(config, seed=config.seed, heads=heads, penalty=penalty).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=config.reward_lr)
        run = TrainingRun(config, data, model, optimizer)
        if heads > 1:
            drawn = torch.from_numpy(bootstrap_counts(len(data.train), heads, config.seed))
            run.counts_NK = torch.zeros(len(data.labels_N), heads, device=device)
            run.counts_NK[data.train] = drawn.to(run.counts_NK)
        resumed = bool(list_checkpoints(folder))
        if resumed:
            _resume(run)
        write_json(folder / "cfg.json", asdict(config))
        # Points of a killed run that this one makes again are hidden; two starts within a second
        # do not share a file.
        first, where = run.iteration + resumed, str(folder / "tensorboard")
        run.writer = SummaryWriter(where, purge_step=first, filename_suffix=f".{first}")
        with contextlib.closing(run.writer):
            if not resumed:
                _evaluate_and_save(run)
            while run.epoch < config.num_epochs:
                _train_epoch(run)
                result = _evaluate_and_save(run)
                if run.epoch == config.num_epochs:
                    _warn_of_nothing_learnt(result)
    following = {"llm_reward": 0.1, "reward_dir": folder, **origin_flags(config.dataset_dir)}
    print(f"{folder}: {run.epoch} epochs. Next: {command('agent', **following)} …")
    return 0


def train_step(
    model: RewardModel,
    optimizer: torch.optim.Optimizer,
    data: LabelledPairs,
    rows_B: Tensor,
    counts_NK: Tensor | None = None,
) -> Tensor:
    """One optimiser step on the pairs ``rows_B``, which count ``counts_NK`` for each head.

    Returns:
        (3,) float64: summed loss, pairs with a preference that agree, pairs with a preference;
        all from before the step.
    """
    blstats = None if data.blstats is None else data.blstats[rows_B]
    heads_BPTK = model.heads_distinct(data.messages_UC, data.index_NPT[rows_B], blstats)
    scores_BP = side_scores(pessimistic(heads_BPTK.detach(), model.penalty))
    scores_BPK, targets_BP = side_scores(heads_BPTK), data.targets_NP[rows_B]
    if counts_NK is None:
        loss = preference_loss(scores_BPK[..., 0], targets_BP)
    else:
        loss = ensemble_loss(scores_BPK, targets_BP, counts_NK[rows_B])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    agreements = count_agreements(scores_BP, data.labels_N[rows_B])
    return torch.stack([loss.detach() * len(rows_B), *agreements]).double()


def _train_epoch(run: TrainingRun) -> None:
    # The order depends on the seed and the epoch alone, so that a resumed run has it too.
    train, config = run.data.train, run.config
    order = np.random.default_rng([config.seed, run.epoch]).permutation(len(train))
    rows = train[torch.from_numpy(order).to(train.device)]
    totals = torch.zeros(3, dtype=torch.float64, device=rows.device)
    trained, title = 0, f"epoch {run.epoch + 1}/{config.num_epochs}"
    with tqdm(total=len(rows), unit="pair", desc=title) as bar:
        for rows_B in torch.split(rows, config.batch_size):
            totals += train_step(run.model, run.optimizer, run.data, rows_B, run.counts_NK)
            run.iteration += 1
            trained += len(rows_B)
            loss, agreeing, preferred = totals.tolist()
            if not math.isfinite(loss):
                _diverged(run, "loss")
            accuracy = ratio(agreeing, preferred)
            bar.set_postfix(loss=f"{loss / trained:.4f}", accuracy=_shown(accuracy), refresh=False)
            bar.update(len(rows_B))
        pairs_per_second = trained / bar.format_dict["elapsed"]
    row = {"epoch": run.epoch, "total_train_loss": loss / trained, "total_train_acc": accuracy}
    add_row(run.history, "train_metrics.csv", row)
    run.epoch += 1
    scalars = {"train/loss": loss / trained, "train/accuracy": accuracy}
    _log(run, {**scalars, "train/pairs_per_second": pairs_per_second})


def _evaluate_and_save(run: TrainingRun) -> Evaluation:
    if run.counts_NK is not None:
        centre_heads(run.model, run.data)
    result = evaluate(run.model, run.data)
    row, statistics = result.row, result.statistics
    add_row(run.history, "val_metrics.csv", {"iter": run.iteration, **row})
    add_row(run.history, QUANTILE_FILE, statistics["quantiles"])
    content = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "config": asdict(run.config),
        "iteration": run.iteration,
        "epoch": run.epoch,
        "train_messages": run.data.train_messages,
        "history": run.history,
        "fingerprint": run.data.fingerprint,
        **statistics,
    }
    if wrong := not_finite(content) or ("" if math.isfinite(result.loss) else "validation loss"):
        _diverged(run, wrong)
    save_checkpoint(run.config.run_folder, content, keep=run.config.keep_checkpoints)
    write_metrics(run.config.run_folder, run.history)
    _log(run, {f"validation/{name}": row[column] for column, name in VALIDATION.items()})
    median = statistics["quantiles"]["0.50"]
    moments = {"mean": statistics["reward_mean"], "variance": statistics["reward_var"]}
    moments["median_normalised"] = median
    _log(run, {f"reward/{name}": value for name, value in moments.items()})
    tqdm.write(
        f"iteration {run.iteration}: validation loss {result.loss:.4f}, accuracy "
        f"{_shown(row['validation_accs'])} (with an unseen message "
        f"{_shown(row['unseen_validation_accs'])}, against the game's score "
        f"{_shown(row['score_validation_accs'])})"
    )
    return result


def _diverged(run: TrainingRun, what: str) -> NoReturn:
    config, rate = run.config, min(run.config.reward_lr / 10, RewardTrainingConfig.reward_lr)
    flags = given_flags({**asdict(config), "reward_lr": rate})
    flags["experiment"] = f"{config.experiment}_{rate:g}"
    raise ConfigError(
        f"iteration {run.iteration}: no finite {what} any more, --reward_lr {config.reward_lr:g} "
        f"is too large. {find_checkpoint(config.run_folder)} is kept; start afresh with a smaller "
        f"rate: {command('reward', **flags)}"
    )


def _warn_of_nothing_learnt(result: Evaluation) -> None:
    accuracy, one_side = result.row["validation_accs"], result.one_side
    if accuracy is not None and one_side is not None and accuracy <= one_side:
        print(
            f"warning: held-out accuracy {accuracy:.1%} is no better than always answering one "
            f"side ({one_side:.1%}): this reward has learnt nothing that it can use elsewhere; "
            "train longer, with another --reward_lr, or on more pairs",
            file=sys.stderr,
        )


def _log(run: TrainingRun, scalars: dict[str, float | None]) -> None:
    for name, value in scalars.items():
        if value is not None:
            run.writer.add_scalar(name, value, run.iteration)


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _resume(run: TrainingRun) -> None:
    """Bring ``run`` and its CSV files to the last checkpoint, if settings and data are its own."""
    config, afresh = run.config, "start afresh with another --experiment"
    path = find_checkpoint(config.run_folder)
    content = read_checkpoint(path)
    if content["optimizer"] is None:
        raise CheckpointError(f"{path} was imported and cannot be trained on; {afresh}")
    for name, value in asdict(config).items():
        before = content["config"].get(name, getattr(RewardTrainingConfig, name, value))
        if name not in FREE_TO_CHANGE and before != value:
            raise CheckpointError(
                f"{path} was made with --{name} {before}, not {value}; go on with the old value, "
                f"or {afresh}"
            )
    if content["fingerprint"] != run.data.fingerprint:
        raise CheckpointError(
            f"{path} was trained on other pairs or labels than {config.annotator} in "
            f"{config.dataset_dir} holds now; {afresh}"
        )
    run.model.load_state_dict(content["model"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.epoch, run.iteration = content["epoch"], content["iteration"]
    run.history = content["history"]
    write_metrics(config.run_folder, run.history)
    print(f"going on from {path}: {run.epoch} of {config.num_epochs} epochs are done")
