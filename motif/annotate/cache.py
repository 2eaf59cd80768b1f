"""Answers on disk: append-only files, shared by runs, read through an index of constant memory."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def answer_key(*parts: str) -> bytes:
    """A key of 16 bytes for texts, their boundaries included."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()


class AnswerCache:
    """Answers under keys of 16 bytes; an answer is any JSON value.

    Each process appends to a file of its own in ``folder``, so that many machines may share one;
    a line that a crash cut short is skipped when the folder is read, which happens once, at the
    start. The index is a temporary SQLite database: on disk, with a bounded page cache, gone with
    the process.

    Args:
        folder: where the files are; made when the first answer is put.
        fresh: start empty, without reading what is there (it is kept).
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder = folder
        self._file: IO[str] | None = None
        self._index = sqlite3.connect("")
        self._index.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID")
        if not fresh:
            self._index.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", self._stored())

    def _stored(self) -> Iterator[tuple[bytes, str]]:
        files = sorted(self.folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        for path in files:
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        key, answer = json.loads(line)
                        yield bytes.fromhex(key), json.dumps(answer)
                    except (ValueError, TypeError):  # cut short by a crash
                        continue

    def __len__(self) -> int:
        return int(self._index.execute("SELECT count(*) FROM answers").fetchone()[0])

    def get(self, key: bytes) -> Any | None:
        """The answer under ``key``; None if there is none."""
        row = self._index.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: bytes, answer: Any) -> None:
        """Keep ``answer``; on disk after :meth:`flush`."""
        encoded = json.dumps(answer)
        self._index.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, encoded))
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{platform.node() or 'host'}-{os.getpid()}.jsonl"
            self._file = (self.folder / name).open("a", encoding="utf-8")
        self._file.write(f'["{key.hex()}", {encoded}]\n')

    def flush(self) -> None:
        """Hand what was put to the kernel: a killed process loses nothing of it."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Flush, and free the index."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._index.close()
