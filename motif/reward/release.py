"""Import a reward checkpoint of the original release into a run folder of ours."""

from __future__ import annotations

import csv
import re
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motif.atomic_write import write_json
from motif.cli import option
from motif.data_files import read_json
from motif.errors import CheckpointError, ConfigError
from motif.messages import MESSAGE_LENGTH
from motif.reward.checkpoint import (
    RELEASE_CONTENT,
    build_model,
    find_checkpoint,
    list_checkpoints,
    not_finite,
    save_checkpoint,
)
from motif.reward.encoder import MESSAGE_MODELS, EncoderSettings
from motif.reward.metrics import QUANTILE_FILE, empty_history
from motif.torch_file import read_torch_file

RESTORE = "restore the whole run folder"
# The release's reward model is a whole actor-critic; these parts of it never touch the reward.
IGNORED = (
    *("critic_linear.", "action_parameterization.", "core."),
    *("returns_normalizer.", "obs_normalizer."),
)
RENAMED = {  # beside the message encoder: the release's prefix, ours
    "encoder.fc.": "encoder.trunk.",
    "encoder.embed_blstats.": "encoder.blstats.",
    "reward_fn.1.": "head.",
}


@dataclass(frozen=True)
class ReleaseImportConfig:
    """What ``scripts.import_release_reward`` takes."""

    release_dir: str = option("", "run folder of the release: cfg.json, checkpoint_p0 …")
    checkpoint_num: int = option(0, "iteration to import; 0: the last")
    train_dir: str = option("train_dir/reward_saving_dir", "where run folders are made")
    experiment: str = option("imported_reward", "name of the new run folder")

    def __post_init__(self) -> None:
        if not self.release_dir:
            raise ConfigError("--release_dir is required: the run folder of the release")


def import_release_reward(config: ReleaseImportConfig) -> int:
    """Make ``<train_dir>/<experiment>`` with one checkpoint that ``load_reward_model`` reads.

    Weights, mean, variance and quantiles are the release's, which rounds the last to two decimals.
    """
    release, folder = Path(config.release_dir), Path(config.train_dir) / config.experiment
    if list_checkpoints(folder):
        raise CheckpointError(f"{folder} has checkpoints already; choose another --experiment")
    path = find_checkpoint(release, config.checkpoint_num)
    content = read_torch_file(path, error=CheckpointError, way_out=RESTORE)
    missing = ", ".join(name for name in RELEASE_CONTENT if name not in content)
    if missing:
        raise CheckpointError(f"{path} is no reward checkpoint of the release: it lacks {missing}")
    settings = asdict(_settings(release / "cfg.json"))
    weights = convert_weights(content["model"], settings["encoder_msg_model"])
    build_model(path, settings, weights)
    imported: dict[str, Any] = {
        "model": weights,
        "optimizer": None,
        "config": {**settings, "imported_from": str(path)},
        "iteration": int(content["num_iter"]),
        "epoch": 0,
        "reward_mean": float(content["reward_mean"]),
        "reward_var": float(content["reward_var"]),
        "quantiles": read_quantiles(release, int(content["num_iter"])),
        "train_messages": torch.empty((0, MESSAGE_LENGTH), dtype=torch.uint8),
        "train_rewards": torch.empty(0),
        "history": empty_history(),
        "fingerprint": "",
    }
    if wrong := not_finite(imported):
        raise CheckpointError(f"{path} holds no finite {wrong}; import an earlier checkpoint")
    saved = save_checkpoint(folder, imported)
    write_json(folder / "cfg.json", imported["config"])
    print(f"imported {path} as {saved}; use it with --reward_dir {folder}")
    return 0


def convert_weights(weights: dict[str, Tensor], message_model: str) -> dict[str, Tensor]:
    """The release's tensors under our names; others are refused."""
    message = _message_names(weights, len(MESSAGE_MODELS[message_model].convolutions))
    converted = {}
    for name, tensor in weights.items():
        prefix = next((old for old in RENAMED if name.startswith(old)), None)
        if name in message:
            converted[message[name]] = tensor
        elif prefix is not None:
            converted[RENAMED[prefix] + name.removeprefix(prefix)] = tensor
        elif not name.startswith(IGNORED):
            raise CheckpointError(
                f"tensor {name!r} belongs to no reward model of the release that can be imported "
                "(glyph and crop encoders cannot)"
            )
    return converted


def _message_names(weights: dict[str, Tensor], convolutions: int) -> dict[str, str]:
    """Names of the message encoder: ``conv1``, then all other layers in one numbered sequence."""
    sequence = re.compile(r"encoder\.conv2_6_fc\.(\d+)\.")
    numbers = sorted({int(match[1]) for name in weights if (match := sequence.match(name))})
    layers = ["encoder.conv1", *(f"encoder.conv2_6_fc.{number}" for number in numbers)]
    names = {"encoder.char_lt.weight": "encoder.message.embedding.weight"}
    for position, layer in enumerate(layers):
        ours = f"encoder.message.convolutions.{position}"
        if position >= convolutions:
            ours = f"encoder.message.linears.{position - convolutions}"
        names |= {f"{layer}.{part}": f"{ours}.{part}" for part in ("weight", "bias")}
    return names


def read_quantiles(run_folder: Path, iteration: int) -> dict[str, float]:
    """The row of the release's quantile file that was written with the checkpoint ``iteration``.

    The file has a row for each save, the first at iteration 0. A run that was started again has
    appended a new header; the rows behind the last header count.
    """
    # Differs from the release, which takes the last row whatever checkpoint is loaded.
    path = run_folder / QUANTILE_FILE
    lines = _read_csv(path)
    header = lines[0]
    rows = lines[max(number for number, line in enumerate(lines) if line == header) + 1 :]
    metrics = run_folder / "val_metrics.csv"  # a row for each save but the last
    validated = _read_csv(metrics)[1:] if metrics.is_file() else []
    try:
        saves = sorted({*list_checkpoints(run_folder), *(int(line[0]) for line in validated)})
        values = [[float(value) for value in row] for row in rows]
        levels = [f"{float(level):.2f}" for level in header]
        table = [list(map(float, levels)), *values]
        if not all(len(row) == len(header) and all(map(isfinite, row)) for row in table):
            raise ValueError(f"a row of {QUANTILE_FILE} is not {len(header)} finite numbers")
    except ValueError as error:
        raise CheckpointError(f"{run_folder}: a CSV file is damaged ({error})") from None
    if len(saves) != len(rows) or iteration not in saves:
        raise CheckpointError(
            f"{path} has {len(rows)} rows of quantiles for {len(saves)} known saves "
            f"({', '.join(map(str, saves))}), so that the row of iteration {iteration} is not "
            "certain; restore the run's checkpoints or its val_metrics.csv"
        )
    return dict(zip(levels, values[saves.index(iteration)]))


def _read_csv(path: Path) -> list[list[str]]:
    _must_be_there(path)
    try:
        with path.open(newline="", encoding="ascii", errors="replace") as file:
            lines = [line for line in csv.reader(file) if line]
    except csv.Error as error:
        raise CheckpointError(f"{path} is damaged ({error}); {RESTORE}") from None
    if not lines:
        raise CheckpointError(f"{path} is empty; {RESTORE}")
    return lines


def _must_be_there(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(f"{path} is missing; {RESTORE}")


def _settings(path: Path) -> EncoderSettings:
    _must_be_there(path)
    config = read_json(path, error=CheckpointError, way_out=RESTORE)
    defaults = asdict(EncoderSettings())
    return EncoderSettings(**{name: config.get(name, value) for name, value in defaults.items()})
