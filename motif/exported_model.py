"""Models to ship: a run's weights and statistics, without its logs and its optimiser's state.

The folder has the names and formats of a run's, so that every stage takes it as it takes a run.
``model.json`` says what made it, how good it is, and the sizes and SHA-256 of its other files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motif.atomic_write import write_json
from motif.cli import option
from motif.data_files import sha256
from motif.errors import CheckpointError, ConfigError
from motif.torch_file import read_torch_file, write_torch_file

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to."""

    run: Path = option(Path("train_dir/reward_saving_dir/standard_reward"), "folder of the run")
    output: Path = option(Path("models/reward_defaultgoal"), "folder of the exported model")
    dataset_dir: str = option("motif_dataset", "reward run: the dataset it was trained on")
    reward_dir: str = option("", "RL run: the exported reward model that it was trained with")
    half_precision: bool = option(False, "RL run: store float16, half the size")

    def __post_init__(self) -> None:
        if Path(self.reward_dir).is_absolute():
            raise ConfigError(
                f"--reward_dir {self.reward_dir}: give it relative to the folder that commands are "
                "started in, as models/NAME; the exported policy remembers it"
            )


@dataclass(frozen=True)
class Description:
    """A run, as its folder is written anew."""

    checkpoint: Path
    settings: Mapping[str, Any]  # without what is particular to a machine
    origin: Mapping[str, Any]  # what made it and how good it is, for model.json
    use: str  # what to do with the folder, and the command


def export_model(
    config: ExportConfig, describe: Mapping[str, Callable[[ExportConfig], Description]]
) -> None:
    """Make ``config.output`` of whichever kind of run ``config.run`` is.

    Weights, mean, variance and quantiles are the run's, bit by bit unless halved. Left out are the
    optimiser's state, the history, and training messages, whose rewards the weights give again.

    Args:
        describe: by the file of a run's settings, which tells the kinds apart.
    """
    name = next((name for name in describe if (config.run / name).is_file()), None)
    if name is None:
        raise CheckpointError(
            f"{config.run} is no run: neither cfg.json (of scripts.train_reward) nor config.json "
            "(of scripts.main) is in it"
        )
    model = describe[name](config)
    content = read_torch_file(model.checkpoint, error=CheckpointError)
    for trained in (content, content.get("bonus")):
        if trained:
            trained["optimizer"]["state"] = {}
    if "config" in content:  # a reward's
        content["config"] = dict(model.settings)
        content["history"] = {file: [] for file in content["history"]}
        content |= {key: content[key][:0].clone() for key in ("train_messages", "train_rewards")}
    if config.half_precision:
        content["model"] = {key: halved(key, w) for key, w in content["model"].items()}
    with exported_folder(config.output) as folder:
        write_torch_file(folder / "checkpoint_p0" / model.checkpoint.name, content)
        write_json(folder / name, model.settings)
        write_model_file(folder, {**model.origin, "exported_at_commit": current_commit()})
    size = sum(path.stat().st_size for path in config.output.rglob("*") if path.is_file())
    print(f"{config.output}: {size / 1e6:.2f} MB\n{model.use}")


def halved(name: str, weights: Tensor) -> Tensor:
    """Weights as float16; they are float32 again once loaded."""
    if weights.dtype != torch.float32:
        return weights
    half = weights.half()
    if not half.isfinite().all():
        raise CheckpointError(
            f"{name} holds weights that float16 cannot; leave --half_precision out"
        )
    return half


def refuse_exported(run_folder: Path) -> None:
    """Keep training out of a folder that holds an exported model."""
    if (run_folder / MODEL_FILE).exists():
        raise CheckpointError(
            f"{run_folder} holds an exported model ({MODEL_FILE}), which training would change; "
            "choose another --train_dir or --experiment. To train it further, copy the folder "
            f"there and delete {MODEL_FILE} in the copy: its optimiser starts afresh"
        )


@contextlib.contextmanager
def exported_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes ``output``, instead of an older export.

    On any exception ``output`` stays as it was. What is no exported model is never replaced.
    """
    if output.exists() and not (output / MODEL_FILE).is_file():
        raise CheckpointError(
            f"{output} is there and is no exported model (it has no {MODEL_FILE}); choose another "
            "--output"
        )
    staging, replaced = (
        output.with_name(f".{output.name}.{os.getpid()}.{kind}") for kind in ("tmp", "old")
    )
    staging.mkdir(parents=True)
    try:
        yield staging
        if output.exists():
            os.replace(output, replaced)
        os.replace(staging, output)
    finally:
        if replaced.exists() and not output.exists():
            os.replace(replaced, output)
        for folder in (staging, replaced):
            shutil.rmtree(folder, ignore_errors=True)


def write_model_file(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``model.json``: ``content``, and all files below ``folder`` with sizes and sums."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_json(folder / MODEL_FILE, {**content, "files": files})


def portable(path: str) -> str:
    """A path without what is particular to a machine: of an absolute one only the last part."""
    return Path(path).name if Path(path).is_absolute() else path


def current_commit() -> str | None:
    """The commit of the code that runs; None outside a git checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    return None
