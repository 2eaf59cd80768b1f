"""Which recordings lie in a folder, as a database of ``nle.dataset``; are they whole?"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import re
import shutil
import sqlite3
import struct
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from motif.errors import DatasetError, MissingPackageError
from motif.types import AnyArray

EXPECTED = (
    "expected one of: NLE's layout (<folder>/<run>/*.xlogfile beside its *.ttyrec3.bz2), "
    "NLD-NAO's (<folder>/xlogfile.*, blacklist.txt and <player>/*.ttyrec.bz2), "
    "or files *.ttyrec, *.ttyrec2, *.ttyrec3 anywhere below it; each .bz2, .gz or neither"
)
FRAMES_AT_ONCE = 512
LONGEST_RECORD = 1 << 20  # bytes that a terminal gets at once; a screen is a few thousand
SCREEN, KEY, SCORE = range(3)  # channels of versions 2 and 3

_NAME = re.compile(r"(\.ttyrec([23]?))(\.bz2|\.gz|)\Z")


class DamagedRecording(Exception):
    """A ttyrec that is cut short, or is none."""


def index_folder(folder: Path, number: int, database: Path) -> list[tuple[str, int]]:
    """Add the games below ``folder`` to ``database``, which is made if it isn't there.

    Returns:
        Its games in a fixed order, as names of a dataset in the database and ids of a game.

    Raises:
        DatasetError: there is nothing to read.
        MissingPackageError: NLE is not installed.
    """
    try:
        from nle import dataset as nld
    except ModuleNotFoundError:
        raise MissingPackageError("--ttyrec needs nle; run: pip install -e '.[rl]'") from None
    if not folder.is_dir():
        raise DatasetError(f"--ttyrec {folder} is not a folder; {EXPECTED}")
    if not database.exists():
        nld.db.create(str(database))
    try:
        root = _named_bz2(folder, database.with_name(f"links-{number}"))
        with contextlib.redirect_stdout(io.StringIO()):  # they report with print
            if any(root.glob("xlogfile.*")):
                nld.add_altorg_directory(str(root), f"{number}", str(database))
            elif any(root.glob("*/*.xlogfile")):
                nld.add_nledata_directory(str(root), f"{number}", str(database))
            else:
                _add_plain_files(root, f"{number}", database)
    except (AssertionError, LookupError, OSError, ValueError, sqlite3.Error) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DatasetError(f"--ttyrec {folder} cannot be indexed ({reason}); {EXPECTED}") from None
    games = _games(database, number)
    if not games:
        raise DatasetError(f"--ttyrec {folder} holds no recorded game; {EXPECTED}")
    return games


def _named_bz2(folder: Path, links: Path) -> Path:
    """The folder, or links to its files by which every recording is a .bz2: NLE sees no others.

    Of one game in several packings the .bz2 counts.
    """
    names = {path: _NAME.sub(r"\1.bz2", path.name) for path in folder.rglob("*.ttyrec*")}
    if all(path.name == name or not path.is_file() for path, name in names.items()):
        return folder
    for path in sorted(folder.rglob("*"), key=lambda path: (path.suffix != ".bz2", path)):
        link = links / path.relative_to(folder).with_name(names.get(path, path.name))
        if path.is_file() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return links


def _add_plain_files(folder: Path, name: str, database: Path) -> None:
    """A dataset for each version of the format; each file is a game, and nothing else is known."""
    from nle.dataset import db

    with db.db(filename=str(database), rw=True) as connection:
        known = set()
        for path in sorted(folder.rglob("*.ttyrec*.bz2")):
            if (match := _NAME.search(path.name)) is None:
                continue
            dataset, version = f"{name}.{match[2] or 1}", int(match[2] or 1)
            if version not in known:
                db.create_dataset(dataset, str(folder), version, connection, commit=False)
                known.add(version)
            game = connection.execute("INSERT INTO games (gameid) VALUES (NULL)").lastrowid
            db.add_games(dataset, game, conn=connection, commit=False)
            row = (str(path.relative_to(folder)), 0, path.stat().st_size, 0.0, game)
            connection.execute("INSERT INTO ttyrecs VALUES (?,?,?,?,?)", row)
        connection.commit()


def _games(database: Path, number: int) -> list[tuple[str, int]]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT dataset_name, gameid FROM datasets "
            "WHERE dataset_name = ? OR dataset_name LIKE ? ORDER BY gameid",
            (f"{number}", f"{number}.%"),
        )
        return [(str(name), int(game)) for name, game in rows if game > 0]


def count_frames(path: Path, version: int) -> int:
    """Read a recording to its end; how many frames NLE's converter makes of it.

    In version 1 every write to the terminal is a frame; in the later ones every key is, with the
    screen on which it was pressed. The last record of a file is lost on NLE's reader.

    Raises:
        DamagedRecording: it is cut short or no ttyrec of this version. NLE's converter would stop
            there without a word, and some of these would crash it.
    """
    header = struct.Struct("<iii" if version == 1 else "<iiiB")  # when, length, channel
    frames = scores = 0
    is_frame = False
    try:
        with io.BufferedReader(bz2.open(path), 1 << 16) as file:  # type: ignore[arg-type]
            while start := file.read(header.size):
                frames += is_frame  # the one before, now that it isn't the last
                if len(start) < header.size:
                    raise EOFError
                _, _, length, channel = (*header.unpack(start), SCREEN)[:4]
                if length == 0:  # alt.org has such; NLE takes them for the end
                    break
                scores = scores + 1 if channel == SCORE else 0 if channel == KEY else scores
                fits = length == 4 if channel == SCORE else 0 < length <= LONGEST_RECORD
                if not fits or channel > SCORE or scores > 1:
                    raise DamagedRecording(f"no ttyrec of version {version}")
                if len(file.read(length)) < length:
                    raise EOFError
                is_frame = version == 1 or channel == KEY
    except EOFError:
        raise DamagedRecording("cut short") from None
    except (OSError, ValueError) as error:
        raise DamagedRecording(str(error)) from None
    if not frames:
        raise DamagedRecording("no frames")
    return frames


def _opener(path: Path) -> Callable[..., IO[bytes]]:
    """By the content: a name may say something else, and a link's target nothing."""
    with path.open("rb") as file:
        start = file.read(3)
    openers: dict[bytes, Any] = {b"BZh": bz2.open, b"\x1f\x8b\x08": gzip.open}
    return openers.get(start, open)  # type: ignore[no-any-return]


class Recording:
    """One game of the database: its files, what the list of games knows of it, its frames.

    Raises:
        DamagedRecording: a file can't be unpacked.
    """

    def __init__(self, database: Path, dataset: str, game: int) -> None:
        from nle import dataset as nld

        self._nle = nld.TtyrecDataset(
            dataset,
            batch_size=1,
            seq_length=FRAMES_AT_ONCE,
            dbfilename=str(database),
            shuffle=False,
            subselect_sql="SELECT ?",
            subselect_sql_args=(game,),
        )
        with nld.db.db(filename=str(database)) as connection:
            root = Path(nld.db.get_root(dataset, connection))
            self.version: int = nld.db.get_ttyrec_version(dataset, connection)
        self._game = game
        self.paths = [(root / path).resolve() for path in self._nle.get_paths(game)]
        self.facts: dict[str, Any] = dict(self._nle.get_meta(game))  # columns of the xlogfile
        packed = self._packed = self._as_bz2()
        self._nle.get_paths = lambda _: packed  # not through self: what it packed goes with it

    def _as_bz2(self) -> list[Path]:
        """The files as NLE reads them: all of them packed by bzip2, for the life of this object."""
        if all(_opener(path) is bz2.open for path in self.paths):
            return self.paths
        scratch = tempfile.mkdtemp(prefix="motif-ttyrec-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        packed = [Path(scratch, f"{part}.bz2") for part in range(len(self.paths))]
        for path, target in zip(self.paths, packed):
            try:
                with _opener(path)(path, "rb") as file, bz2.open(target, "wb", 1) as output:
                    shutil.copyfileobj(file, output)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise DamagedRecording(f"{path}: {error}") from None
        return packed

    def count_frames(self) -> int:
        """See :func:`count_frames`."""
        total = 0
        for path, packed in zip(self.paths, self._packed):
            try:
                total += count_frames(packed, self.version)
            except DamagedRecording as error:
                raise DamagedRecording(f"{path}: {error}") from None
        return total

    def chunks(self) -> Iterator[dict[str, AnyArray]]:
        """The frames in turn: NLE's arrays, without the axis of the batch, reused each time."""
        for batch in self._nle:
            length = int((batch["gameids"][0] == self._game).sum())
            if length:
                yield {key: array[0, :length] for key, array in batch.items()}
