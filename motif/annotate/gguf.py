"""What a GGUF file says of itself, and its identity.

The gguf package reads the same, in seconds to minutes: it makes an array of every word that the
tokenizer has.
"""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import IO, Any

from motif.annotate.chat import ModelError
from motif.data_files import sha256

# The format's numbers of value types, in struct's letters.
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@functools.lru_cache
def read_gguf(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file, but for its lists.

    Raises:
        ModelError: there is none such, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"--model {str(path)!r} is no GGUF file")
            _, _, entries = (_scalar(file, letter) for letter in "IQQ")
            found = {_string(file): _value(file, _scalar(file, "I")) for _ in range(entries)}
    except OSError as error:
        raise ModelError(
            f"--model {str(path)!r} cannot be read ({error.strerror}); it must be a GGUF file"
        ) from None
    except (struct.error, KeyError, UnicodeDecodeError, OverflowError, MemoryError):
        raise ModelError(f"--model {str(path)!r} is damaged; fetch it again") from None
    return {key: value for key, value in found.items() if value is not None}


def identify_gguf(path: Path) -> dict[str, str]:
    """The model's name and the file's SHA-256.

    Raises:
        ModelError: there is none such, or it is damaged.
    """
    return {"name": str(read_gguf(path).get("general.name", path.stem)), "sha256": _sha256(path)}


_sha256 = functools.lru_cache(sha256)


def _scalar(file: IO[bytes], letter: str) -> Any:
    letter = "<" + letter
    return struct.unpack(letter, file.read(struct.calcsize(letter)))[0]


def _string(file: IO[bytes]) -> str:
    length = _scalar(file, "Q")
    content = file.read(length)
    if len(content) < length:
        raise struct.error
    return content.decode()


def _value(file: IO[bytes], kind: int) -> Any:
    """A value; None for a list, which is read past."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _scalar(file, _SCALARS[kind])
    kind, length = _scalar(file, "I"), _scalar(file, "Q")
    if kind in _SCALARS:
        file.seek(length * struct.calcsize("<" + _SCALARS[kind]), 1)
    else:
        for _ in range(length):
            file.seek(_scalar(file, "Q"), 1)
    return None
