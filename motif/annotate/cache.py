"""Answers on disk: append-only files, shared by runs, read through an index of constant memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

GO_ON = "labels so far are kept: make room, then start the same command again"


def answer_key(*parts: str) -> bytes:
    """A key of 16 bytes for texts, their boundaries included."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()


def _seal(key: str, answer: str) -> str:
    """The checksum of a line, by which a flipped bit does not become another answer."""
    return f"{zlib.crc32(f'{key} {answer}'.encode()):08x}"


class AnswerCache:
    """Answers under keys of 16 bytes; an answer is any JSON value.

    Each process appends to a file of its own in ``folder``, so that many machines may share one;
    a line that a crash cut short, or that has a wrong checksum, is skipped when the folder is read,
    which happens once, at the start. The index is a temporary SQLite database: on disk, with a
    bounded page cache, gone with the process.

    Args:
        folder: where the files are; made when the first answer is put.
        earlier: other folders to read, before this one; nothing is written there.
        fresh: start empty, without reading what is there (it is kept).

    Raises:
        OSError: the disk is full or read-only; from any method.
    """

    def __init__(self, folder: Path, earlier: Sequence[Path] = (), *, fresh: bool = False) -> None:
        self.folder = folder
        self._file: IO[str] | None = None
        self._index = sqlite3.connect("")
        self._index.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID")
        if not fresh:
            insert = "INSERT OR REPLACE INTO answers VALUES (?, ?)"
            with self._full_disk_explained():
                for read in (*earlier, folder):
                    self._index.executemany(insert, self._stored(read))

    def _stored(self, folder: Path) -> Iterator[tuple[bytes, str]]:
        files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        for path in files:
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        key, answer, *seal = json.loads(line)
                        encoded = json.dumps(answer)
                        if seal in ([], [_seal(key, encoded)]):  # earlier versions wrote none
                            yield bytes.fromhex(key), encoded
                    except (ValueError, TypeError, RecursionError):  # cut short, or damaged
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
        with self._full_disk_explained():
            self._index.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, encoded))
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                name = f"{platform.node() or 'host'}-{os.getpid()}.jsonl"
                self._file = (self.folder / name).open("a", encoding="utf-8")
            line = f'["{key.hex()}", {encoded}, "{_seal(key.hex(), encoded)}"]\n'
            self._file.write(line)

    def flush(self) -> None:
        """Hand what was put to the kernel: a killed process loses nothing of it."""
        if self._file is not None:
            with self._full_disk_explained():
                self._file.flush()

    def close(self) -> None:
        """Flush, and free the index."""
        self._index.close()
        if self._file is not None:
            file, self._file = self._file, None
            with self._full_disk_explained():
                file.close()

    @contextlib.contextmanager
    def _full_disk_explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            problem = f"no room for temporary files (TMPDIR names the folder; {error}); {GO_ON}"
            raise OSError(errno.ENOSPC, problem) from None
        except OSError as error:
            path = error.filename or self.folder
            raise OSError(error.errno, f"{error.strerror}; {GO_ON}", str(path)) from None
