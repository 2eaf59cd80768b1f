"""Models to ship: a run's weights and settings, without its logs and without its optimiser's state.

The folder has the names and formats of a run's, so that every stage takes it as it takes a run.
``model.json`` says what made it, how good it is, and the sizes and SHA-256 of its other files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from motif.atomic_write import write_json
from motif.errors import CheckpointError

MODEL_FILE = "model.json"


def refuse_exported(run_folder: Path) -> None:
    """Keep training out of a folder that holds an exported model.

    Raises:
        CheckpointError: it does.
    """
    if (run_folder / MODEL_FILE).exists():
        raise CheckpointError(
            f"{run_folder} holds an exported model ({MODEL_FILE}), which training would change; "
            "choose another --train_dir or --experiment. To train it further, copy the folder "
            f"there and delete {MODEL_FILE} in the copy: its optimiser starts afresh"
        )


@contextlib.contextmanager
def exported_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes ``output``, instead of an older export.

    On any exception ``output`` stays as it was.

    Raises:
        CheckpointError: ``output`` is something else than an exported model.
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
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    write_json(folder / MODEL_FILE, {**content, "files": files})


def portable(path: str) -> str:
    """A path without what is particular to a machine: of an absolute one only the last part."""
    return Path(path).name if Path(path).is_absolute() else path


def current_commit() -> str | None:
    """The commit of the code that runs; None outside a git checkout."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()
    return None
