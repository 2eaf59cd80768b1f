"""A label set as training data for other libraries: chosen and rejected texts, row by row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from motif.annotate.captions import captioned_pairs
from motif.annotate.prompt import goal_sentence
from motif.atomic_write import atomic_write
from motif.cli import option
from motif.errors import ConfigError, MissingPackageError
from motif.games.game import GAME_HELP
from motif.pairs_dataset import ORIGIN, PairsDataset
from motif.preference.label_set import find_probabilities, label_source, load_preferences
from motif.preference.labels import Preference

COLUMNS = ("prompt", "chosen", "rejected", "probability")
SUFFIXES = (".jsonl", ".parquet")
BLOCK = 4096  # rows

Row = tuple[str, str, str, float | None]


@dataclass(frozen=True)
class PreferenceExportConfig:
    """What to export, and where to."""

    annotator: str = option(None, "the label set, as in <directory>/preference", required=True)
    output: Path = option(None, "the file to write, .jsonl or .parquet", required=True)
    directory: Path = option(Path("motif_dataset"), "the pairs dataset")
    game: str = option(ORIGIN["game"], GAME_HELP)
    prompt: str | None = option(
        None, "what each row's prompt is; default: the goal's sentence, if the game has it"
    )

    def __post_init__(self) -> None:
        if self.output.suffix not in SUFFIXES:
            raise ConfigError(f"--output {self.output}: its name must end in .jsonl or .parquet")


def export_preferences(config: PreferenceExportConfig) -> int:
    """Write one row for each pair with a preference; say what was left out.

    The columns are ``prompt``, ``chosen``, ``rejected`` and ``probability``, the judge's for the
    chosen side; null with a judge that gives none.

    Raises:
        MissingPackageError: Parquet without pyarrow.
        MotifError: there is no such label set.
    """
    pairs = PairsDataset(config.directory)
    source = label_source(pairs, config.annotator)
    shown = source.get("captions", {"messages": True, "blstats": False})
    if shown["blstats"]:
        pairs = PairsDataset(config.directory, keys=("message", "blstats"))
    counts: Counter[str] = Counter()
    prompt = config.prompt if config.prompt is not None else _goal(config, source)
    rows = _rows(pairs, config.annotator, shown, prompt, counts)
    write = _write_parquet if config.output.suffix == ".parquet" else _write_jsonl
    with atomic_write(config.output) as temporary:
        write(temporary, rows)
    left_out = ", ".join(f"{kind} {count:,}" for kind, count in counts.items() if kind != "rows")
    print(f"{counts['rows']:,} rows of {len(pairs):,} pairs; left out: {left_out or 'none'}")
    print(f"written to {config.output}")
    return 0


def _goal(config: PreferenceExportConfig, source: dict[str, Any]) -> str:
    version = source.get("prompt", {}).get("version", "default")
    sentence = goal_sentence(version, str(source.get("goal", "")), game=config.game)
    return f"{sentence}\n" if sentence else ""  # it stands before the chosen text


def _rows(
    pairs: PairsDataset,
    annotator: str,
    shown: dict[str, bool],
    prompt: str,
    counts: Counter[str],
) -> Iterator[Row]:
    labels, probabilities = load_preferences(pairs, annotator), find_probabilities(pairs, annotator)
    captioned = captioned_pairs(
        pairs,
        np.arange(len(pairs)),
        use_messages=shown["messages"],
        use_blstats=shown["blstats"],
    )
    for index, *sides in captioned:
        label = labels[index]
        if label in (Preference.TIE, Preference.UNKNOWN):
            counts[Preference(label).name.lower()] += 1
        elif sides[0] == sides[1]:
            counts["equal texts"] += 1
        else:
            counts["rows"] += 1
            likely = np.nan if probabilities is None else float(probabilities[index, label])
            known = round(likely, 6) if np.isfinite(likely) else None
            yield prompt, sides[label], sides[1 - label], known


def _write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(dict(zip(COLUMNS, row))) + "\n")


def _write_parquet(path: Path, rows: Iterator[Row]) -> None:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise MissingPackageError(
            f"Parquet needs pyarrow ({error}); pip install '.[export]', or write .jsonl"
        ) from None
    types = (*[pyarrow.string()] * 3, pyarrow.float64())
    schema = pyarrow.schema(list(zip(COLUMNS, types)))
    with ParquetWriter(path, schema) as writer:
        while block := list(islice(rows, BLOCK)):
            columns = [list(column) for column in zip(*block)]
            writer.write_table(pyarrow.table(columns, schema=schema))
