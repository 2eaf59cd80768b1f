"""Files of strangers are data: no loader that runs what they hold is called anywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("motif", "sample_factory_ext", "scripts", "benchmarks", "tools")
FORBIDDEN = {
    *("eval", "exec", "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load"),
    *("yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "os.system"),
    *("joblib.load", "pandas.read_pickle", "marshal.loads", "shelve.open"),
}


def calls(source: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The dotted name and the constant keyword arguments of each call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            given = {
                word.arg: word.value.value
                if isinstance(word.value, ast.Constant)
                else ast.unparse(word.value)
                for word in node.keywords
                if word.arg
            }
            yield ast.unparse(node.func), given


def mistakes(source: str) -> list[str]:
    found = []
    for name, given in calls(source):
        if name in FORBIDDEN or given.get("allow_pickle") not in (None, False):
            found.append(name)
        if name == "torch.load" and given.get("weights_only") is not True:
            found.append(name)
        if name == "yaml.compose" and given.get("Loader") != "yaml.SafeLoader":
            found.append(name)
        if given.get("shell"):
            found.append(name)
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_loader_that_executes(folder):
    paths = list((ROOT / folder).rglob("*.py"))
    assert paths
    assert {str(path): bad for path in paths if (bad := mistakes(path.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.compose(text, Loader=yaml.Loader)",
        "pickle.loads(raw)",
        "subprocess.run(text, shell=True)",
        "eval(text)",
    ],
)
def test_the_test_above_sees_them(source):
    assert mistakes(source)


def test_what_is_used_instead_is_no_mistake():
    assert not mistakes("torch.load(path, weights_only=True)\nnp.load(path)\nyaml.safe_load(text)")
    assert not mistakes("yaml.compose(text, Loader=yaml.SafeLoader)")
