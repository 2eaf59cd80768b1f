"""Games from ttyrecs, against what the environment said when they were recorded."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ttyrec_agreement import compare, record

from motif.collect.collection import collect
from motif.collect.command import open_source
from motif.collect.games import RecordedGame
from motif.collect.settings import CollectionConfig
from motif.collect.ttyrec import TtyrecGames
from motif.collect.ttyrec_index import DamagedRecording, Recording, count_frames, index_folder
from motif.errors import ConfigError, DatasetError
from motif.messages import decode
from motif.pairs_dataset import ARRAYS, PairsDataset
from motif.play.players import RandomPlayer
from scripts.collect_pairs_dataset import main

pytestmark = pytest.mark.nle

GAMES, STEPS = 4, 400
FUZZED = settings(max_examples=settings.default.max_examples // 3)  # an input is a file to convert
XLOG = "points=1234\tturns=99\trole=Mon\trace=Hum\talign=Neu\tgender=Mal\tname=who\tdeath=killed"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[Path, list]:
    folder = tmp_path_factory.mktemp("recorded")
    return folder, record(folder, RandomPlayer(23), GAMES, STEPS, seed=2)


@pytest.fixture
def ttyrecs(recorded) -> list[Path]:
    return sorted(recorded[0].glob("*/*.bz2"))


def no_policies(run_folder: Path, env_steps: int | None):
    raise AssertionError("recorded games are not played")


def games_of(*folders: Path, longest: int = 100_000, seed: int = 0) -> list[RecordedGame]:
    return list(TtyrecGames(folders, longest, seed).games(0))


def as_version_1(path: Path, gap: int = 200_000) -> list[bytes]:
    """The records of version 1, ``gap`` microseconds apart, that show the same screens."""
    content, records, screen, time = bz2.decompress(path.read_bytes()), [], b"", 0
    while content:
        _, _, length, channel = struct.unpack_from("<iiiB", content)
        payload, content = content[13 : 13 + length], content[13 + length :]
        if channel == 0:
            screen += payload
        elif channel == 1:
            time += gap
            records.append(struct.pack("<iii", *divmod(time, 1_000_000), len(screen)) + screen)
            screen = b""
    return [record for record in records if len(record) > 12]


def test_messages_agree_with_the_environment_s(recorded):
    folder, played = recorded
    agreement = compare(folder, played)
    assert agreement.steps > GAMES * STEPS / 2
    assert agreement.share > 0.99
    assert agreement.screens == agreement.steps
    shares = agreement.shares_of_fields()
    assert shares.pop("DLEVEL") == 0  # no status line shows it
    assert min(shares.values()) > 0.97
    assert shares["SCORE"] == shares["HP"] == shares["GOLD"] == 1


def test_a_game_is_whole_and_says_how_it_ended(recorded):
    folder, played = recorded
    games = games_of(folder)
    assert len(games) == GAMES
    scores = sorted(steps[-1][1]["blstats"][9] for steps in played)
    assert sorted(game.score for game in games) == scores
    assert max(scores) > 0
    for game in games:
        assert game.turns == game.arrays["blstats"][:, 20].max() > 1
        assert game.experience_level >= 1
        assert game.character == "mon-hum-neu-mal"
        assert game.player == "Agent"
        assert game.arrays["rewards"].sum() == game.score
        dtypes = {key: array.dtype.str for key, array in game.arrays.items()}
        assert dtypes == {
            "message": "|u1",
            "blstats": "<i8",
            "tty_chars": "|u1",
            "tty_colors": "|i1",
            "rewards": "<f4",
        }


def test_a_long_game_gives_a_stretch_and_its_own_end(recorded):
    whole = games_of(recorded[0])
    parts = games_of(recorded[0], longest=100)
    starts = set()
    for game, part in zip(whole, parts):
        assert len(part) == 100
        assert (part.score, part.turns) == (game.score, game.turns)
        screens = game.arrays["tty_chars"]
        (start,) = (
            index
            for index in range(len(game) - 99)
            if np.array_equal(screens[index : index + 100], part.arrays["tty_chars"])
        )
        np.testing.assert_array_equal(
            part.arrays["message"], game.arrays["message"][start : start + 100]
        )
        starts.add(start)
    assert len(starts) > 1


def test_going_on_at_a_number_gives_the_same_games(recorded):
    folder = recorded[0]
    games = games_of(folder, longest=50, seed=3)
    rest = list(TtyrecGames([folder], 50, 3).games(2))
    assert len(rest) == GAMES - 2
    for game, again in zip(games[2:], rest):
        for key, array in game.arrays.items():
            np.testing.assert_array_equal(array, again.arrays[key])


def test_the_order_is_the_seed_s(recorded):
    orders = {tuple(len(game) for game in games_of(recorded[0], seed=seed)) for seed in range(8)}
    assert len(orders) > 1
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_plain_files_anywhere_below_a_folder(ttyrecs, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    shutil.copy(ttyrecs[0], tmp_path / "a.ttyrec3.bz2")
    old = b"".join(as_version_1(ttyrecs[1]))
    (tmp_path / "deep" / "er" / "b.ttyrec.bz2").write_bytes(bz2.compress(old))
    (tmp_path / "deep" / "c.ttyrecord.bz2").write_bytes(b"another thing")
    games = games_of(tmp_path)
    assert len(games) == 2
    assert {game.character for game in games} == {game.player for game in games} == {"unknown"}
    assert all(game.turns > 1 for game in games)


def test_version_1_shows_what_version_3_does(ttyrecs, tmp_path):
    for name, content in (
        ("new/a.ttyrec3.bz2", ttyrecs[0].read_bytes()),
        ("old/a.ttyrec.bz2", bz2.compress(b"".join(as_version_1(ttyrecs[0])))),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    (new,), (old,) = games_of(tmp_path / "new"), games_of(tmp_path / "old")
    assert len(old) <= len(new)
    seen = [{decode(message) for message in game.arrays["message"]} for game in (new, old)]
    assert len(seen[0]) > 5
    assert seen[0] - seen[1] <= {""}
    assert old.turns == new.turns
    assert old.score in (new.score, 0)  # a strong hero's score does not fit on the screen


def test_pieces_of_a_screen_and_repeats_are_no_frames_of_version_1(ttyrecs, tmp_path):
    records = as_version_1(ttyrecs[0])[:50]
    pieces = []
    for record_ in records:
        when, screen = struct.unpack("<ii", record_[:8]), record_[12:]
        half = len(screen) // 2 or 1
        for microseconds, piece in ((when[1] - 500, screen[:half]), (when[1], screen[half:])):
            if piece:
                pieces.append(struct.pack("<iii", when[0], microseconds, len(piece)) + piece)
        pieces.append(struct.pack("<iii", when[0], when[1] + 100_000, 3) + b"\x1b[m")
    for name, content in (("whole", records), ("pieces", pieces)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "a.ttyrec.bz2"
        path.write_bytes(bz2.compress(b"".join(content)))
    (whole,), (split,) = games_of(tmp_path / "whole"), games_of(tmp_path / "pieces")
    assert len(split) in (len(whole), len(whole) + 1)  # NLE loses the last record of a file
    length = len(whole)
    np.testing.assert_array_equal(split.arrays["tty_chars"][:length], whole.arrays["tty_chars"])


@pytest.fixture
def alt_org(ttyrecs, tmp_path) -> Path:
    """NLD-NAO's layout: one game in two files, and a file that is to be left out."""
    root = tmp_path / "nao"
    (root / "who").mkdir(parents=True)
    records = as_version_1(ttyrecs[0])
    half = len(records) // 2
    names = ("2020-01-01.10:00:00", "2020-01-01.11:00:00", "2020-01-01.11:30:00")
    for name, part in zip(names, (records[:half], records[half:], records)):
        path = root / "who" / f"{name}.ttyrec.bz2"
        path.write_bytes(bz2.compress(b"".join(part)))
    (root / "blacklist.txt").write_text(f"who/{names[2]}.ttyrec.bz2")
    times = "starttime=1577872800\tendtime=1577880000"  # 10 to 12 o'clock
    (root / "xlogfile.1").write_text(f"{XLOG}\t{times}\n")
    return root


def test_nld_nao_with_a_game_in_two_files(alt_org, ttyrecs):
    (game,) = games_of(alt_org)
    assert game.character == "mon-hum-neu-mal"
    assert game.player == "Player0"  # NLE's pseudonym
    count = len(as_version_1(ttyrecs[0]))
    assert count / 2 < len(game) <= count  # of both files, and not of the third


def test_what_the_screen_does_not_show_the_xlogfile_tells(alt_org, tmp_path):
    path = next(alt_org.glob("who/*10:00:00*"))
    frames = [struct.pack("<iii", k, 0, 8) + b"\x1b[2JHi %d" % (k % 10) for k in range(20)]
    path.write_bytes(bz2.compress(b"".join(frames)))
    next(alt_org.glob("who/*11:00:00*")).unlink()
    (game,) = games_of(alt_org)
    assert (game.score, game.turns, game.experience_level) == (1234, 99, 0)
    assert not game.arrays["message"].any()


PACKINGS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


def repacked(source: Path, target: Path, suffix: str) -> Path:
    """A copy of a folder whose recordings are packed otherwise."""
    for path in sorted(filter(Path.is_file, source.rglob("*"))):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".bz2":
            content = bz2.decompress(path.read_bytes())
            copy.with_name(path.stem + suffix).write_bytes(PACKINGS[suffix](content))
        else:
            shutil.copy(path, copy)
    return target


def assert_same(games: list[RecordedGame], others: list[RecordedGame]) -> None:
    assert len(games) == len(others) > 0
    for game, other in zip(games, others):
        for key, array in game.arrays.items():
            np.testing.assert_array_equal(array, other.arrays[key])
        assert dataclasses.replace(game, arrays={}) == dataclasses.replace(other, arrays={})


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_other_packings_give_the_same_games(recorded, alt_org, tmp_path, suffix):
    plain = tmp_path / "plain"
    plain.mkdir()
    for number, path in enumerate(sorted(recorded[0].glob("*/*.bz2"))[:2]):
        shutil.copy(path, plain / f"{number}.ttyrec3.bz2")
    (plain / "2.ttyrec.bz2").write_bytes(bz2.compress(b"".join(as_version_1(path))))
    for name, folder in {"nle": recorded[0], "alt.org": alt_org, "plain": plain}.items():
        other = repacked(folder, tmp_path / "other" / name, suffix)
        assert not [*other.rglob("*.bz2")]
        assert_same(games_of(other, longest=150), games_of(folder, longest=150))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_dataset_of_other_packings_is_the_same_to_the_byte(recorded, tmp_path, suffix):
    other = repacked(recorded[0], tmp_path / "other", suffix)
    for name, folder in {"one": recorded[0], "two": other}.items():
        assert main(arguments(tmp_path / name, folder)) == 0
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.npy"))
    assert len(files) == len(ARRAYS)
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_one_game_in_several_packings_is_one_game(ttyrecs, tmp_path):
    content = bz2.decompress(ttyrecs[0].read_bytes())
    for suffix, pack in PACKINGS.items():
        (tmp_path / f"a.ttyrec3{suffix}").write_bytes(pack(content))
    (tmp_path / "a.ttyrec3").write_bytes(b"")  # the .bz2 counts
    (tmp_path / "b.ttyrec3.gz").write_bytes(gzip.compress(content))
    assert_same(*([game] for game in games_of(tmp_path)))


def test_a_packing_is_told_by_the_content(ttyrecs, tmp_path):
    content = bz2.decompress(ttyrecs[0].read_bytes())
    (tmp_path / "a.ttyrec3.bz2").write_bytes(content)
    (tmp_path / "b.ttyrec3.gz").symlink_to(ttyrecs[0])
    assert_same(*([game] for game in games_of(tmp_path)))


def test_what_is_packed_anew_goes_with_its_game(recorded, tmp_path, monkeypatch):
    folder = repacked(recorded[0], tmp_path / "other", ".gz")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    source = TtyrecGames([folder], 10, 0)
    counts = [len([*scratch.glob("*/*.bz2")]) for _ in source.games(0)]
    assert counts == [1] * GAMES
    del source
    assert not [*scratch.iterdir()]


def test_damaged_recordings_of_other_packings_are_skipped_and_named(ttyrecs, tmp_path, capsys):
    content = bz2.decompress(ttyrecs[0].read_bytes())
    packed = gzip.compress(content)
    damaged = {
        "cut.ttyrec3.gz": packed[: len(packed) // 2],
        "flipped.ttyrec3.gz": packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:],
        "noise.ttyrec3.gz": packed[:20] + bytes(range(256)),
        "short.ttyrec3": content[:-1],
        "empty.ttyrec3": b"",
        "ended.ttyrec.gz": gzip.compress(struct.pack("<iii", 0, 0, 0) * 2)[:-8],  # no sum
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "whole.ttyrec3").write_bytes(content)
    assert len(games_of(tmp_path)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(damaged)
    for name in damaged:
        assert sum(f"{tmp_path / name}: " in line for line in lines) == 1


def test_damaged_recordings_are_skipped_counted_and_named(ttyrecs, tmp_path, capsys):
    whole = ttyrecs[0].read_bytes()
    damaged = {
        "cut.ttyrec3.bz2": whole[: len(whole) // 2],
        "empty.ttyrec3.bz2": b"",
        "noise.ttyrec.bz2": bytes(range(256)),
        "misnamed.ttyrec.bz2": whole,
        "short.ttyrec3.bz2": bz2.compress(bz2.decompress(whole)[:-1]),
        "header.ttyrec3.bz2": bz2.compress(bz2.decompress(whole)[:9]),
        "nothing.ttyrec2.bz2": bz2.compress(struct.pack("<iiiB", 0, 0, 1, 0) + b"x"),
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "whole.ttyrec3.bz2").write_bytes(whole)
    (game,) = games_of(tmp_path)
    assert len(game) > 100
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"skipped recording {number}" for number in range(1, len(damaged) + 1)
    ]
    for name in damaged:
        assert sum(name in line for line in lines) == 1
    assert list(TtyrecGames([tmp_path], 10, 0).games(1)) == []


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([(2, b"1234"), (2, b"1234"), (1, b"k")], "no ttyrec of version 3"),  # would overflow
        ([(2, b"12"), (1, b"k")], "no ttyrec of version 3"),
        ([(7, b"12"), (1, b"k")], "no ttyrec of version 3"),
        ([(0, b"12")], "no frames"),
        ([(0, b"12"), (1, b"k")], "no frames"),  # the last record is lost on NLE
    ],
)
def test_records_that_nle_must_not_see(tmp_path, records, reason):
    path = tmp_path / "a.ttyrec3.bz2"
    content = [struct.pack("<iiiB", 0, 0, len(data), channel) + data for channel, data in records]
    path.write_bytes(bz2.compress(b"".join(content)))
    with pytest.raises(DamagedRecording, match=reason):
        count_frames(path, 3)


def test_a_record_of_no_length_ends_a_file(tmp_path):
    record_ = struct.pack("<iii", 0, 0, 1) + b"x"
    path = tmp_path / "a.ttyrec.bz2"
    path.write_bytes(bz2.compress(record_ * 3 + bytes(12) + record_))
    assert count_frames(path, 1) == 3


def test_the_count_is_what_nle_reads(recorded, ttyrecs, tmp_path):
    old = bz2.compress(b"".join(as_version_1(ttyrecs[1])))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.ttyrec.bz2").write_bytes(old)
    for number, folder in enumerate((recorded[0], tmp_path / "old")):
        for game in index_folder(folder, number, tmp_path / "db"):
            recording = Recording(tmp_path / "db", *game)
            read = sum(len(chunk["timestamps"]) for chunk in recording.chunks())
            assert recording.count_frames() == read > 50


@FUZZED
@given(cut=st.floats(0, 1), flip=st.none() | st.floats(0, 1))
def test_a_cut_or_flipped_file_is_told_or_read(recorded, tmp_path_factory, cut, flip):
    source = sorted(recorded[0].glob("*/*.bz2"))[0]
    content = bytearray(source.read_bytes())
    if flip is not None:
        content[int(flip * (len(content) - 1))] ^= 0x10
    content = content[: int(cut * len(content))]
    folder = tmp_path_factory.mktemp("cut")
    (folder / "a.ttyrec3.bz2").write_bytes(content)
    assert len(games_of(folder)) <= 1


@FUZZED
@given(
    screens=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=30),
    version=st.sampled_from([1, 2, 3]),
)
def test_whatever_the_terminal_gets_becomes_observations(tmp_path_factory, screens, version):
    records = b""
    for number, screen in enumerate(screens):
        time = struct.pack("<ii", number, 0)
        if version == 1:
            records += time + struct.pack("<i", len(screen)) + screen
            continue
        records += time + struct.pack("<iB", len(screen), 0) + screen
        if version == 3:
            records += time + struct.pack("<iB", 4, 2) + struct.pack("<i", number)
        records += time + struct.pack("<iB", 1, 1) + b"k"
    folder = tmp_path_factory.mktemp("noise")
    suffix = "" if version == 1 else str(version)
    (folder / f"a.ttyrec{suffix}.bz2").write_bytes(bz2.compress(records))
    games = games_of(folder)
    assert len(games) == (len(screens) > 1)  # NLE loses the last record of a file
    for game in games:
        assert 1 <= len(game) < len(screens)
        assert game.arrays["message"].shape == (len(game), 256)
        for message in game.arrays["message"]:
            decode(message)


def test_a_folder_without_games_is_named_with_what_was_expected(tmp_path):
    with pytest.raises(DatasetError, match=r"no-such is not a folder; expected one of: NLE's"):
        games_of(tmp_path / "no-such")
    with pytest.raises(DatasetError, match=r"holds no recorded game; expected one of"):
        games_of(tmp_path)
    (tmp_path / "xlogfile.1").write_text(XLOG + "\n")
    with pytest.raises(DatasetError, match=r"cannot be indexed \(FileNotFoundError.*blacklist"):
        games_of(tmp_path)


def test_an_index_s_games_know_their_files(recorded, tmp_path):
    games = index_folder(recorded[0], 0, tmp_path / "db")
    found = {Recording(tmp_path / "db", *game).paths[0].resolve() for game in games}
    assert found == {path.resolve() for path in recorded[0].glob("*/*.bz2")}


def test_the_index_is_removed(recorded):
    source = TtyrecGames([recorded[0]], 10, 0)
    database = source.database
    assert database.exists()
    del source
    assert not database.parent.exists()


Arguments = Callable[..., list[str]]


def arguments(directory: Path, *folders: Path, pairs: int = 300) -> list[str]:
    flags = ["--directory", str(directory), "--num_pairs", str(pairs), "--seed", "4"]
    return [*flags, "--max_episode_steps", "200", "--ttyrec", *map(str, folders)]


def test_the_command_makes_a_dataset(recorded, tmp_path, capsys):
    assert main(arguments(tmp_path / "pairs", recorded[0])) == 0
    pairs = PairsDataset(tmp_path / "pairs", keys=tuple(ARRAYS))
    assert pairs.messages.shape == (300, 2, 1, 256)
    assert set(pairs["character"].ravel()) == {b"mon-hum-neu-mal"}
    made = json.loads((tmp_path / "pairs" / "collection.json").read_text())
    assert made["settings"]["ttyrec"] == [str(recorded[0])]
    assert not {"policy", "checkpoint", "task"} & set(made["settings"])
    capsys.readouterr()
    assert main(arguments(tmp_path / "pairs", recorded[0])) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_command_says_how_many_pairs_there_are(recorded, tmp_path, capsys):
    pairs = sum(len(game) for game in games_of(recorded[0], longest=200)) // 2
    assert main(arguments(tmp_path, recorded[0], pairs=9999)) == 2
    message = f"there are {GAMES} games, good for {pairs} pairs, and no more"
    assert message in capsys.readouterr().err


def test_interrupted_then_resumed_equals_uninterrupted(recorded, tmp_path):
    configs = [
        CollectionConfig(
            directory=str(tmp_path / name),
            num_pairs=300,
            max_episode_steps=200,
            seed=4,
            ttyrec=[str(recorded[0])],
        )
        for name in ("once", "twice")
    ]
    collect(configs[0], lambda: open_source(configs[0], no_policies))

    class Interrupted:
        def games(self, first: int):
            for number, game in enumerate(open_source(configs[1], no_policies).games(first)):
                if number == 2:
                    raise KeyboardInterrupt
                yield game

    with pytest.raises(KeyboardInterrupt):
        collect(configs[1], Interrupted)
    assert not (tmp_path / "twice" / "data").exists()
    collect(configs[1], lambda: open_source(configs[1], no_policies))
    for name in ("data/message.npy", "data/rewards.npy", "info/score.npy", "collection.json"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": ("explorer", "random")}, "so --policy explorer random means nothing"),
        ({"checkpoint": ("run",)}, "so --checkpoint run means nothing"),
        ({"task": "NetHackOracle-v1"}, "so --task NetHackOracle-v1 means nothing"),
        ({"device": "auto"}, "so --device auto means nothing; leave one of them out"),
    ],
)
def test_settings_of_playing_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CollectionConfig(ttyrec=("somewhere",), **settings)
