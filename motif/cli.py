"""Command lines from frozen dataclasses, and one way for a command to end.

A stage declares its settings once, as a dataclass whose fields are made by :func:`option`;
:func:`parse_config` turns a command line into an instance of it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import io
import os
import select
import shlex
import signal
import sys
import types
import typing
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from motif.errors import ConfigError, MotifError
from motif.messages import printable

Config = TypeVar("Config")

EXIT_ERROR = 2
EXIT_OPEN = 3
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM
EXIT_UNREAD = 128 + signal.SIGPIPE

SCRIPTS = {  # what each stage's script is called
    "collect": "collect_pairs_dataset",
    "pack": "pack_dataset",
    "unpack": "unpack_dataset",
    "annotate": "annotate_pairs_dataset",
    "reward": "train_reward",
    "import": "import_release_reward",
    "agent": "main",
    "watch": "visualize",
    "plots": "plot_results",
}


class Terminated(BaseException):
    """SIGTERM arrived (a Slurm preemption, say): unwind, flush, exit with 143."""


def option(default: Any, help: str, *, positional: bool = False, **argument: Any) -> Any:
    """A dataclass field that is also a flag; ``argument`` goes to ``add_argument``."""
    metadata = {"help": help, "argument": argument, "prefix": "" if positional else "--"}
    return dataclasses.field(default=default, metadata=metadata)


def boolean(text: str) -> bool:
    """``True/False``, ``yes/no``, ``on/off``, ``1/0`` in any case.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    known = {"true": True, "yes": True, "on": True, "1": True}
    known |= {"false": False, "no": False, "off": False, "0": False}
    if text.strip().lower() not in known:
        raise argparse.ArgumentTypeError(f"expected True or False, got {text!r}")
    return known[text.strip().lower()]


class Parser(argparse.ArgumentParser):
    """argparse with whole flag names only, hyphens and underscores being the same."""

    def __init__(self, description: str | None) -> None:
        _print_any_text()
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog="Flags may be written with hyphens or underscores.",
            allow_abbrev=False,
        )

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Take hyphens for underscores in the names of flags."""
        args = [_underscored(argument) for argument in (sys.argv[1:] if args is None else args)]
        return super().parse_known_args(args, namespace)


def _underscored(argument: str) -> str:
    if not argument.startswith("--") or argument == "--":
        return argument
    name, equals, value = argument[2:].partition("=")
    return "--" + name.replace("-", "_") + equals + value


def add_options(
    parser: argparse.ArgumentParser, config_class: type, names: Collection[str] | None = None
) -> None:
    """Add one flag for each field of ``config_class`` that :func:`option` made.

    Args:
        names: of those that are wanted; None: all.
    """
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if "argument" not in field.metadata or field.name not in (names or hints):
            continue
        argument: dict[str, Any] = {"default": field.default, **field.metadata["argument"]}
        if "action" not in argument:
            argument |= {k: v for k, v in _type_of(hints[field.name]).items() if k not in argument}
        default = " ".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = "" if default in (None, "") else f" (default: {default})"
        argument["help"] = field.metadata["help"].replace("%", "%%") + shown
        parser.add_argument(field.metadata["prefix"] + field.name, **argument)


class _StoreTuple(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def]
        setattr(namespace, self.dest, tuple(values))


def _type_of(hint: Any) -> dict[str, Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not type(None))
    if typing.get_origin(hint) is tuple:  # of any length: one or more values after the flag
        return {**_type_of(typing.get_args(hint)[0]), "nargs": "+", "action": _StoreTuple}
    if typing.get_origin(hint) is typing.Literal:
        return {"choices": typing.get_args(hint)}
    if hint is bool:
        return {"type": boolean, "nargs": "?", "const": True, "metavar": "True|False"}
    return {"type": hint}


def parse_config(
    config_class: type[Config], argv: Sequence[str] | None, description: str | None
) -> Config:
    """Parse ``argv`` (default: the process's arguments) into a ``config_class``."""
    parser = Parser(description)
    add_options(parser, config_class)
    try:
        return config_class(**vars(parser.parse_args(argv)))
    except ConfigError as error:
        parser.error(str(error))


def command(stage: str, *words: object, **flags: object) -> str:
    """The line that runs ``stage``, one of :data:`SCRIPTS`; a shell takes it as it is printed."""
    named = [word for name, value in flags.items() for word in (f"--{name}", value)]
    return shlex.join(["python", "-m", f"scripts.{SCRIPTS[stage]}", *map(str, (*words, *named))])


def _raise_terminated(signum: int, frame: object) -> None:
    raise Terminated


def _print_any_text() -> None:
    """What the terminal's encoding lacks becomes ``?``; on stderr Python escapes it anyway."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _nobody_reads() -> bool:
    """Whether what read our output ended, as ``head`` does; the rest of it then goes nowhere."""
    output = select.poll()
    with contextlib.suppress(OSError):  # no file: a test's
        output.register(sys.stdout, 0)
    gone = any(event & select.POLLERR for _, event in output.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone


def explain(error: OSError) -> str:
    """What the system refused in one line, with the file and what to do about a full disk."""
    text = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
    if error.strerror == os.strerror(errno.ENOSPC):
        text += "; make room, then start the same command again"
    return printable(text)


def run(command: Callable[[], int | None]) -> int:
    """Run a stage; return its exit status, turning what users can solve into one line.

    0 (or what ``command`` returns: 3 where a later run of it goes on), 2 for an error with a
    message, 130 for Ctrl-C, 143 for SIGTERM, 141 where nobody reads on, as after ``| head``.
    """
    _print_any_text()
    with contextlib.suppress(ValueError):  # not in the main thread: the caller handles signals
        signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        status = command() or 0
        sys.stdout.flush()
        return status
    except MotifError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return EXIT_ERROR
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return EXIT_UNREAD
        print(f"error: {explain(error)}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Terminated:
        print("terminated; the same command goes on from here", file=sys.stderr)
        return EXIT_TERMINATED
