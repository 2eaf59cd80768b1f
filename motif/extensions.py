"""Parts that users bring along, named on the command line as ``module:Name``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from motif.errors import ConfigError


def load_extension(flag: str, name: str, shipped: Mapping[str, str]) -> Any:
    """What ``name`` stands for: one of ``shipped`` (by name, ``module:Name``), or the user's own.

    A module is looked for where Python looks for any, the working directory included.

    Raises:
        ConfigError: there is no such thing, or it can't be imported.
    """
    module_name, colon, attribute = shipped.get(name, name).partition(":")
    if not colon:
        raise ConfigError(
            f"{flag} {name}: there is {', '.join(shipped)}; your own is named module:Name"
        )
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{flag} {name} can't be imported: {error}") from None


def make_extension(flag: str, name: str, shipped: Mapping[str, str], **arguments: Any) -> Any:
    """An object of the class that ``name`` stands for, or what it is if it is no class.

    Raises:
        ConfigError: as :func:`load_extension`; or the class takes other arguments.
    """
    found = load_extension(flag, name, shipped)
    try:
        return found(**arguments) if isinstance(found, type) else found
    except TypeError as error:
        raise ConfigError(f"{flag} {name}: {error}") from None
