"""Curves of several methods in one file, ``motif_results.pkl``, as the release publishes them.

``results[task][method] = {"timesteps": [[…] per seed], "returns": [[…] per seed]}``. It is a
pickle, and a pickle is a program; this one may build plain containers, numbers and texts, and
nothing else is ever looked up or called.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motif.atomic_write import atomic_write
from motif.errors import DamagedFileError

LARGEST_FILE = 1 << 30  # bytes
PARTS = ("timesteps", "returns")

Curves = dict[str, list[list[float]]]  # by PARTS: one list a seed
Results = dict[str, dict[str, Curves]]  # by task and method


class _PlainUnpickler(pickle.Unpickler):
    """Finds no class and no function, so that nothing can be called."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it refers to another file ({pid!r})")


def read_results(path: Path) -> Results:
    """The curves in ``path``, every number finite, every curve as long as its time steps.

    Raises:
        DamagedFileError: it is no such file, asks for anything but plain values (numpy's too:
            convert them with ``.tolist()`` and write the file again), or has another shape.
        OSError: it cannot be read.
    """
    if path.stat().st_size > LARGEST_FILE:
        raise DamagedFileError(f"{path} has {path.stat().st_size} bytes: no file of curves")
    try:
        with path.open("rb") as file:
            raw = file.read()
            _refuse_huge_numbers(raw)
            file.seek(0)
            content = _PlainUnpickler(file, encoding="latin-1").load()
            seal = file.read()
        if seal and seal != hashlib.sha256(raw[: -len(seal)]).digest():
            raise ValueError("its checksum is another")
    except OSError:
        raise
    except Exception as error:  # a pickle is a program: damaged, it may fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedFileError(
            f"{path} holds more than dicts, lists, numbers and texts, or is damaged ({reason}); "
            "write it again with motif.results.results_file.write_results"
        ) from None
    return _checked(content, str(path), most=len(raw))


def write_results(path: Path, results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Write curves for :func:`read_results` and for anybody's ``pickle.load``.

    A checksum follows the pickle, whose end is marked: loaders don't look further.

    Raises:
        DamagedFileError: ``results`` has another shape.
    """
    checked = _checked(results, "results")
    with atomic_write(path) as temporary:
        content = pickle.dumps(checked, protocol=4)
        temporary.write_bytes(content + hashlib.sha256(content).digest())


def _refuse_huge_numbers(raw: bytes) -> None:
    """Few bytes can ask for a memo of gigabytes; only a memo as large as the file makes sense."""
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name in ("LONG_BINPUT", "PUT") and int(str(argument)) > len(raw):
            raise pickle.UnpicklingError(f"its memo has a place {argument}")


def _checked(results: Any, where: str, most: float = math.inf) -> Results:
    """``results`` as plain lists; ``most`` curves and points, for few bytes can repeat a list."""
    checked: Results = {}
    count = 0
    for task, methods in _of_type(results, dict, where).items():
        checked[task] = {}
        for method, curve in _of_type(methods, dict, f"{where}[{task!r}]").items():
            place = f"{where}[{task!r}][{method!r}]"
            parts = [part for part in _of_type(curve, dict, place).values() if _is_list(part)]
            count += 1 + sum(map(len, parts))
            count += sum(len(seed) for part in parts for seed in part if _is_list(seed))
            if count > most:
                raise DamagedFileError(f"{where} has more points than bytes: it repeats itself")
            if set(curve) != set(PARTS):
                raise DamagedFileError(f"{place} has {sorted(curve)}, expected {list(PARTS)}")
            seeds = {name: _seeds(curve[name], f"{place}[{name!r}]") for name in PARTS}
            steps, returns = ([len(seed) for seed in seeds[name]] for name in PARTS)
            if steps != returns:
                raise DamagedFileError(
                    f"{place}: {steps} time steps for {returns} returns, seed by seed"
                )
            checked[task][method] = seeds
    return checked


def _seeds(value: Any, where: str) -> list[list[float]]:
    for number, seed in enumerate(_of_type(value, list, where)):
        for position, point in enumerate(_of_type(seed, list, f"{where}[{number}]")):
            # not isinstance: a numpy float is a float, and would be pickled as numpy's
            if type(point) is not int and not (type(point) is float and math.isfinite(point)):
                raise DamagedFileError(
                    f"{where}[{number}][{position}] is {point!r}, not a finite plain number"
                )
    return [list(seed) for seed in value]


def _of_type(value: Any, kind: type, where: str) -> Any:
    """``value``, a list (or a tuple), or a dict whose keys are texts."""
    if not (_is_list(value) if kind is list else isinstance(value, Mapping)):
        raise DamagedFileError(f"{where} is a {type(value).__name__}, not a {kind.__name__}")
    for key in value if kind is dict else ():
        if not isinstance(key, str):
            raise DamagedFileError(f"{where} has the key {key!r}, which is no text")
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
