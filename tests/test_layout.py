"""Imports point one way, and the first stages need neither the game nor a language model."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "motif": set(),
    "sample_factory_ext": {"motif"},
    "scripts": {"motif", "sample_factory_ext"},
}
ROOMS = {  # folders of motif, and the rooms that each may import when it runs
    "preference": set(),
    "intrinsic": set(),
    "games": set(),
    "play": {"games", "intrinsic", "results"},
    "archive": {"preference"},
    "collect": {"games", "play", "intrinsic"},
    "annotate": {"games", "preference"},
    "reward": {"preference"},
    "online": {"annotate", "intrinsic", "preference", "reward"},
    "results": {"games", "preference", "reward"},
}
HEAVY = ("nle", "gymnasium", "sample_factory", "vllm")


def imports(source: str) -> set[str]:
    """Every module that the code names in an import, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def imports_below(folder: Path) -> set[str]:
    return set().union(*(imports(path.read_text()) for path in folder.rglob("*.py")))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_downwards_only(package):
    imported = {name.partition(".")[0] for name in imports_below(ROOT / package)}
    assert imported & set(PACKAGES) <= PACKAGES[package] | {package}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_they_may(room):
    found = imports_below(ROOT / "motif" / room)
    imported = {name.split(".")[1] for name in found if name.startswith("motif.")}
    assert imported & set(ROOMS) <= ROOMS[room] | {room}


def test_every_folder_of_motif_is_a_known_room():
    folders = {path.parent.name for path in (ROOT / "motif").glob("*/__init__.py")}
    assert folders == set(ROOMS)


def test_shared_modules_import_no_room():
    for path in (ROOT / "motif").glob("*.py"):
        imported = {name.split(".")[1] for name in imports(path.read_text()) if "motif." in name}
        assert not imported & set(ROOMS), path


def test_only_the_adapter_imports_sample_factory():
    for folder in ("motif", "scripts"):
        names = {name.partition(".")[0] for name in imports_below(ROOT / folder)}
        assert "sample_factory" not in names, folder


def test_the_parser_of_this_file_sees_imports_everywhere():
    source = "import a.b\nfrom c import d\ndef f():\n    import e\n    from g.h import i\n"
    assert imports(source) == {"a.b", "c", "c.d", "e", "g.h", "g.h.i"}


IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[2:]:
    sys.modules[name] = None  # an import of it fails
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
    print(module.name)
"""


@pytest.mark.parametrize(
    "package", ["motif.annotate", "motif.reward", "motif.collect", "motif.online"]
)
def test_importable_without_game_or_language_model(package):
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package, *HEAVY],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    files = [path.stem for path in (ROOT / package.replace(".", "/")).glob("[!_]*.py")]
    assert sorted(done.stdout.split()) == sorted(f"{package}.{stem}" for stem in files)


def test_a_game_is_known_without_what_playing_it_needs():
    code = "import sys; sys.modules.update(dict.fromkeys(sys.argv[1:]))\n"
    code += "from motif.games.game import find_game; game = find_game('nethack')\n"
    code += "assert game.rules.is_file() and game.kinds and len(game.tasks) == 9"
    command = [sys.executable, "-c", code, *HEAVY, "numba", "scipy"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_the_block_of_the_test_above_holds():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, "nle", "nle"], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "import of nle halted" in done.stderr
