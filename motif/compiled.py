"""Loops in machine code, kept on the disk where there is a place for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Function], Function]:
    """numba's ``njit``; compiled anew in each process where code and home are read-only."""

    def compile_it(function: Function) -> Function:
        try:
            made: Function = njit(cache=True, **options)(function)
        except RuntimeError:  # numba finds no folder to write to
            made = njit(**options)(function)
        return made

    return compile_it
