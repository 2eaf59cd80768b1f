"""A dataset packed into parts and unpacked again, by us and by ``unzip``."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import stat
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from motif.archive import unpack
from motif.archive.pack import PackConfig, cut, pack
from motif.archive.unpack import UnpackConfig
from motif.atomic_write import write_json
from motif.errors import ArchiveError, ConfigError, DatasetError, PreferenceError
from motif.file_lock import only_run
from motif.pairs_dataset import ARRAYS, PairsDataset
from motif.preference.chunk import PreferenceChunk
from scripts import pack_dataset, unpack_dataset

PART_SIZE_MIB = 0.05  # several parts of the dataset of these tests


@pytest.fixture
def dataset(make_dataset) -> PairsDataset:
    """With a label set, its probabilities, and what is not to be packed."""
    pairs = make_dataset(30, name="my pairs")
    write_json(pairs.directory / "collection.json", {"games": 2})
    with PreferenceChunk(pairs, "toy", {"type": "toy"}, probabilities=True) as chunk:
        chunk.labels[:] = np.arange(30) % 3
        chunk.finish()
    folder = pairs.directory / "preference"
    for name in ("answers/1.jsonl", "toy.parts/chunk-0-of-1.npy", "comparison.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not packed")
    (pairs.directory / ".collecting").mkdir()
    (pairs.directory / ".collecting" / "block-000000.npz").write_bytes(b"not packed")
    return pairs


@pytest.fixture
def zipped(dataset, tmp_path) -> Path:
    """The folder of the packed dataset."""
    folder = tmp_path / "zipped"
    pack(PackConfig(str(dataset.directory), str(folder), PART_SIZE_MIB))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def packed_of(dataset: PairsDataset) -> dict[str, bytes]:
    rest = contents(dataset.directory).items()
    return {name: content for name, content in rest if content != b"not packed"}


def unpack_into(folder: Path, zipped: Path) -> bool:
    return unpack.unpack(UnpackConfig(str(zipped), str(folder)))


def zip_into_parts(folder: Path, members: dict[str, bytes], **attributes: int) -> None:
    """A foreign archive, in two parts, with right sums."""
    folder.mkdir()
    with (folder / "archive").open("w+b") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name)
                for attribute, value in attributes.items():
                    setattr(info, attribute, value)
                archive.writestr(info, content)
        cut(file, folder, -(-file.tell() // 2))
    (folder / "archive").unlink()


def test_unzip_unpacks_what_was_packed(dataset, zipped, tmp_path):
    names = sorted(path.name for path in zipped.iterdir())
    assert names[:3] == ["SHA256SUMS", "motif_dataset_part_00", "motif_dataset_part_01"]
    assert all(path.stat().st_size <= PART_SIZE_MIB * 2**20 for path in zipped.iterdir())
    line = f"cat '{zipped}'/motif_dataset_part_* > motif_dataset.zip; unzip motif_dataset.zip"
    for command in (line, f"cd '{zipped}' && sha256sum --check --strict SHA256SUMS"):
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert contents(tmp_path / "motif_dataset") == packed_of(dataset)
    assert len(packed_of(dataset)) == len(ARRAYS) + 4


def test_we_unpack_what_was_packed(dataset, zipped, tmp_path):
    assert unpack_into(tmp_path / "new", zipped)
    assert contents(tmp_path / "new" / "motif_dataset") == packed_of(dataset)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["motif_dataset"]


def test_the_same_dataset_gives_the_same_bytes(dataset, zipped, tmp_path):
    copy = shutil.copytree(dataset.directory, tmp_path / "copy", copy_function=shutil.copyfile)
    for path in copy.rglob("*"):
        os.utime(path, (0, 1e9))
        path.chmod(0o700)
    pack(PackConfig(str(copy), str(tmp_path / "again"), PART_SIZE_MIB))
    assert contents(tmp_path / "again") == contents(zipped)


def test_packing_needs_a_whole_dataset(dataset, tmp_path):
    config = PackConfig(str(dataset.directory), str(tmp_path / "zipped"))
    np.save(dataset.path("score"), np.zeros((3, 2)))
    with pytest.raises(DatasetError, match="arrays of different length"):
        pack(config)
    dataset.path("score").unlink()  # datasets of others may lack it
    pack(config)
    write_json(dataset.directory / "preference" / "toy.json", {"dataset": "another"})
    with pytest.raises(PreferenceError, match="labels another dataset"):
        pack(config)
    dataset.path("message").unlink()
    with pytest.raises(DatasetError, match=r"message\.npy is missing"):
        pack(config)


def test_old_parts_stay_until_the_new_ones_are_whole(dataset, zipped, monkeypatch):
    before = contents(zipped)
    (zipped / "README.md").write_text("stays")
    np.save(dataset.path("turns"), np.ones((30, 2), np.int64))
    config = PackConfig(str(dataset.directory), str(zipped), 18)
    with monkeypatch.context() as patch:
        patch.setattr("motif.archive.pack.cut", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            pack(config)
    assert contents(zipped) == {**before, "README.md": b"stays"}
    assert pack(config) == [zipped / "motif_dataset_part_00"]
    assert sorted(contents(zipped)) == ["README.md", "SHA256SUMS", "motif_dataset_part_00"]


def test_two_runs_do_not_pack_into_one_folder(dataset, tmp_path):
    config = PackConfig(str(dataset.directory), str(tmp_path / "zipped"))
    with only_run(tmp_path / "zipped", ArchiveError("busy")):
        with pytest.raises(ArchiveError, match=r"another run is packing into .*zipped"):
            pack(config)
    with only_run(tmp_path / unpack.STAGING, ArchiveError("busy")):
        pack(config)
        with pytest.raises(ArchiveError, match="another run is unpacking into"):
            unpack_into(tmp_path, tmp_path / "zipped")


def test_names_sort_as_the_shell_lists_them():
    assert unpack.part_name(0, 1) == "motif_dataset_part_00"
    assert unpack.part_name(99, 100) == "motif_dataset_part_99"
    assert unpack.part_name(7, 101) == "motif_dataset_part_007"


@pytest.mark.parametrize("size", [0, -1, 1e-9])
def test_no_such_part_size(size):
    with pytest.raises(ConfigError, match="--part_size_mib must be more than 0, got"):
        PackConfig(part_size_mib=size)


def test_the_parts_joined_are_what_was_cut(tmp_path):
    content = bytes(range(256)) * 5
    (tmp_path / "whole").write_bytes(content)
    with (tmp_path / "whole").open("rb") as file:
        paths = cut(file, tmp_path, 100)
    assert [path.stat().st_size for path in paths] == [100] * 12 + [80]
    assert b"".join(path.read_bytes() for path in paths) == content
    assert unpack.checked_parts(tmp_path) == paths


def test_all_missing_damaged_and_strange_parts_are_named(zipped, tmp_path):
    (zipped / "motif_dataset_part_00").unlink()
    damaged = zipped / "motif_dataset_part_01"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    (zipped / "motif_dataset_part_99").touch()
    with pytest.raises(ArchiveError) as caught:
        unpack_into(tmp_path / "new", zipped)
    size = damaged.stat().st_size
    first, *lines = str(caught.value).splitlines()
    assert first == f"the archive in {zipped} is not whole:"
    assert lines == [
        "  motif_dataset_part_99 is not in SHA256SUMS; move it away",
        f"  motif_dataset_part_00 is missing; restore it: git checkout -- "
        f"{zipped}/motif_dataset_part_00 (or download it again)",
        f"  motif_dataset_part_01 is damaged ({size:,} bytes); restore it: git checkout -- "
        f"{damaged} (or download it again)",
    ]
    assert not (tmp_path / "new").exists()


def test_no_archive(tmp_path):
    with pytest.raises(ArchiveError, match=r"no motif_dataset_part_\* in .*python -m scripts"):
        unpack_into(tmp_path, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "nonsense",
        "00  ../../escape",
        "00  motif_dataset_part_01",
        "00  motif_dataset_part_00 x",
    ],
)
def test_sums_that_are_none(zipped, content):
    (zipped / "SHA256SUMS").write_text(content)
    with pytest.raises(ArchiveError, match=r"SHA256SUMS does not list the sums .*git checkout -- "):
        unpack.check(UnpackConfig(str(zipped)))


def test_without_sums_the_archive_s_own_are_checked(dataset, zipped, tmp_path):
    (zipped / "SHA256SUMS").unlink()
    with pytest.warns(UserWarning, match="no SHA256SUMS in .*taken as they are"):
        assert unpack_into(tmp_path / "new", zipped)
    path = zipped / "motif_dataset_part_00"
    content = bytearray(path.read_bytes())
    for start in range(2000, len(content) - 2000, 997):
        content[start] ^= 255
    path.write_bytes(content)
    with warnings.catch_warnings(), pytest.raises(ArchiveError, match=r"do not make a zip archive"):
        warnings.simplefilter("ignore")
        unpack_into(tmp_path / "damaged", zipped)
    assert not list((tmp_path / "damaged").iterdir())


@pytest.mark.parametrize(
    "name",
    ["../escape", "motif_dataset/../../escape", "/escape", "escape", "motif_dataset/a\\b"],
)
def test_members_that_escape_are_refused(tmp_path, name):
    zip_into_parts(tmp_path / "zipped", {"motif_dataset/data/message.npy": b"", name: b"!"})
    with pytest.raises(ArchiveError, match=re.escape(repr(name)) + " would be written outside of"):
        unpack_into(tmp_path / "new", tmp_path / "zipped")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.rglob("escape"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    members = {"motif_dataset/link": b"/etc/passwd"}
    zip_into_parts(tmp_path / "zipped", members, create_system=3, external_attr=kind << 16)
    with pytest.raises(ArchiveError, match="'motif_dataset/link' is a link or another special"):
        unpack_into(tmp_path / "new", tmp_path / "zipped")


def test_a_name_twice_is_refused(tmp_path):
    members = {"motif_dataset/data/a": b"", "motif_dataset//data/a": b""}
    zip_into_parts(tmp_path / "zipped", members)
    with pytest.raises(ArchiveError, match="two members have the same name"):
        unpack_into(tmp_path / "new", tmp_path / "zipped")


def test_an_archive_made_with_zip_is_taken(dataset, tmp_path):
    (tmp_path / "zipped").mkdir()
    dataset.directory.rename(tmp_path / "motif_dataset")
    shutil.rmtree(tmp_path / "motif_dataset" / "preference")
    command = "zip -q -r zipped/motif_dataset_part_00 motif_dataset -x '*/.collecting/*'"
    subprocess.run(command + " && mv zipped/*.zip zipped/motif_dataset_part_00", shell=True,
                   check=True, cwd=tmp_path)  # fmt: skip
    with pytest.warns(UserWarning, match="no SHA256SUMS"):
        assert unpack_into(tmp_path / "new", tmp_path / "zipped")
    assert PairsDataset(tmp_path / "new" / "motif_dataset").fingerprint == dataset.fingerprint
    with (
        warnings.catch_warnings(),
        pytest.raises(ArchiveError, match="not known to be the archive"),
    ):
        warnings.simplefilter("ignore")
        unpack_into(tmp_path / "new", tmp_path / "zipped")


def test_an_archive_of_something_else_leaves_nothing(tmp_path):
    zip_into_parts(tmp_path / "zipped", {"motif_dataset/README": b"hello"})
    with pytest.raises(DatasetError, match=r"message\.npy is missing"):
        unpack_into(tmp_path / "new", tmp_path / "zipped")
    assert not list((tmp_path / "new").iterdir())


def test_content_that_is_not_what_the_comment_says(dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(PairsDataset, "fingerprint", "0123456789abcdef")
        shutil.rmtree(dataset.directory / "preference")
        pack(PackConfig(str(dataset.directory), str(tmp_path / "zipped")))
    with pytest.raises(ArchiveError, match=r"holds dataset .*says it is 0123456789abcdef; pack it"):
        unpack_into(tmp_path / "new", tmp_path / "zipped")
    assert not list((tmp_path / "new").iterdir())


def test_the_same_dataset_is_left_alone(zipped, tmp_path):
    assert unpack_into(tmp_path, zipped)
    shutil.rmtree(tmp_path / "motif_dataset" / "preference")  # may be made anew
    before = contents(tmp_path)
    assert not unpack_into(tmp_path, zipped)
    assert contents(tmp_path) == before
    (tmp_path / "motif_dataset" / "info" / "turns.npy").unlink()
    with pytest.raises(ArchiveError, match=r"turns\.npy is missing or of another size; move it"):
        unpack_into(tmp_path, zipped)


def test_another_dataset_is_never_written_over(zipped, make_dataset, tmp_path):
    other = make_dataset(30, seed=9, name="here/motif_dataset")
    before = contents(other.directory)
    with pytest.raises(ArchiveError, match=r"here/motif_dataset is there, and not known to be"):
        unpack_into(tmp_path / "here", zipped)
    assert contents(other.directory) == before


def test_what_is_no_dataset_is_not_written_over(zipped, tmp_path):
    (tmp_path / "a" / "motif_dataset").mkdir(parents=True)  # empty: nothing to lose
    assert unpack_into(tmp_path / "a", zipped)
    for name in ("file", "link", "folder"):
        target = tmp_path / name / "motif_dataset"
        target.parent.mkdir()
        if name == "file":
            target.touch()
        elif name == "link":
            target.symlink_to(tmp_path / "nowhere")
        else:
            (target / "mine").mkdir(parents=True)
        with pytest.raises(ArchiveError, match="is there, and not known to be"):
            unpack_into(tmp_path / name, zipped)


def test_a_disk_that_is_too_small(zipped, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArchiveError, match=r"needs \d+ MB, but the disk of .* has 0 MB left"):
        unpack_into(tmp_path / "new", zipped)


def die_half_way(function, *arguments) -> None:
    """Run it in a process of its own, which gets kill -9 at its third block."""
    left = iter([False, False, True])

    def update(self, amount):
        if next(left):
            os.kill(os.getpid(), 9)

    unpack.tqdm.update = update
    function(*arguments)


@pytest.mark.parametrize("command", ["pack", "unpack"])
def test_killed_half_way_then_run_again(dataset, zipped, tmp_path, command):
    before = contents(zipped)
    config = PackConfig(str(dataset.directory), str(zipped), 18)
    function = (pack, config) if command == "pack" else (unpack_into, tmp_path / "new", zipped)
    process = multiprocessing.get_context("fork").Process(target=die_half_way, args=function)
    process.start()
    process.join(60)
    assert process.exitcode == -9
    assert not (tmp_path / "new" / "motif_dataset").exists()
    if command == "pack":
        assert (zipped / ".packing").is_dir()
        assert contents(zipped) == before
        pack(config)
        names = sorted(path.name for path in zipped.iterdir())
        assert names == ["SHA256SUMS", "motif_dataset_part_00"]
    assert unpack_into(tmp_path / "new", zipped)
    assert contents(tmp_path / "new" / "motif_dataset") == packed_of(dataset)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["motif_dataset"]


def test_the_commands_say_what_came_out(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--directory", str(dataset.directory), "--output", "zipped"]
    assert pack_dataset.main([*arguments, "--part-size-mib", str(PART_SIZE_MIB)]) == 0
    out = capsys.readouterr().out
    assert "zipped/motif_dataset_part_00: 0.05 MiB" in out
    assert re.search(r"30 pairs in [\d,]+ bytes, [\d,.]+ a pair", out)
    unpack_command = ["--zipped", "zipped"]
    assert unpack_dataset.main([*unpack_command, "--check"]) == 0
    assert "the parts in zipped are whole; they unpack to 0 MB" in capsys.readouterr().out
    assert not (tmp_path / "motif_dataset").exists()
    assert unpack_dataset.main(unpack_command) == 0
    out = capsys.readouterr().out
    assert "unpacked 30 pairs in motif_dataset: " in out
    assert "label sets: toy\nnext: python -m scripts.train_reward --dataset_dir motif_data" in out
    assert unpack_dataset.main(unpack_command) == 0
    assert "nothing to do: 30 pairs in motif_dataset" in capsys.readouterr().out
    (tmp_path / "zipped" / "motif_dataset_part_00").unlink()
    assert unpack_dataset.main(unpack_command) == 2
    assert "motif_dataset_part_00 is missing; restore it: git" in capsys.readouterr().err


def test_the_next_command_pasted_into_a_shell_works_for_a_path_with_a_space(
    dataset, tmp_path, capsys
):
    folder = tmp_path / "it's a folder"
    arguments = ["--directory", str(dataset.directory), "--output", str(folder / "zipped")]
    assert pack_dataset.main(arguments) == 0
    line = capsys.readouterr().out.partition("next: python ")[2]
    done = subprocess.run(
        f"{sys.executable} {line}",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"the parts in {folder}/zipped are whole; ")


def test_without_labels_the_next_command_makes_some(dataset, tmp_path, capsys):
    shutil.rmtree(dataset.directory / "preference")
    pack(PackConfig(str(dataset.directory), str(tmp_path / "zipped")))
    arguments = ["--zipped", str(tmp_path / "zipped"), "--directory", str(tmp_path)]
    assert unpack_dataset.main(arguments) == 0
    out = capsys.readouterr().out
    assert "label sets: none\nnext: python -m scripts.annotate_pairs_dataset --directory" in out


def test_packing_holds_a_block_in_memory_not_the_dataset(tmp_path):
    (tmp_path / "pairs" / "data").mkdir(parents=True)
    for name, shape in (("message", (20_000, 2, 1, 256)), ("tty_chars", (20_000, 2, 1, 24, 80))):
        path = tmp_path / "pairs" / "data" / f"{name}.npy"
        np.lib.format.open_memmap(path, "w+", np.uint8, shape)  # sparse: 87 MB of zeros
    program = (
        "import resource, sys; from motif.archive.pack import *\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "pack(PackConfig(*sys.argv[1:]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "pairs"), str(tmp_path / "zipped")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40_000  # kB
