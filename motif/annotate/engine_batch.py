"""Requests as files for a batch service, and answers as the files that come back.

The format is that of OpenAI's batch interface and of ``vllm run-batch``: JSON lines, matched by
``custom_id``, which is a digest of the request, so that any run finds its answers in any file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import sys
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from motif.annotate.chat import Reply, Request, Sampling
from motif.annotate.completions import RubbishError, raise_error, read_completion
from motif.annotate.refusals import explain_refusal, is_about_prompt
from motif.annotate.request_body import RequestBodies
from motif.atomic_write import atomic_write
from motif.messages import printable

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000  # of a file, as OpenAI takes them
URL = "/v1/chat/completions"
REQUESTS = "requests"  # what the names of our own files begin with


class BatchChatModel:
    """Answers what the files in ``folder`` answer; the rest is written there, and left open.

    Files of answers are all others with the suffix .jsonl. An answer that is one counts before an
    error; an error that is not about the prompt leaves its request open.

    Args:
        name: what the names of the files of requests begin with.
        max_model_len: tokens that prompt and answer may have together; None if not known.
        extra_body: fields to add to each request; they have the last word.

    Raises:
        OSError: the files cannot be read or written; from any method.
    """

    def __init__(
        self,
        model: str,
        sampling: Sampling,
        *,
        folder: Path,
        name: str = REQUESTS,
        max_model_len: int | None = None,
        extra_body: Mapping[str, Any],
    ) -> None:
        self.max_model_len = max_model_len
        self._logprobs = bool(sampling.logprobs)
        self._bodies = RequestBodies(model, sampling, extra_body)
        self._folder, self._name = folder, name
        self._answers: dict[str, tuple[Path, int]] = {}  # by custom_id: where the line begins
        self._errors: dict[str, RubbishError] = {}
        self._used = 0
        self._left: Counter[str] = Counter()  # requests left open by an error, by its text
        self._ready: list[Reply] = []
        self._written: set[str] = set()
        self._closing = contextlib.ExitStack()
        self._file: IO[str] | None = None
        self._files = self._lines = self._bytes = 0
        for path in answer_files(folder):
            self._read(path)

    def submit(self, requests: Sequence[Request]) -> None:
        """Look for the answers; write the requests that have none."""
        for request in requests:
            number = zlib.crc32(json.dumps(request.messages).encode())
            body = self._bodies.make(request.messages, number, self.max_model_len)
            while True:
                key = _digest(body)
                error = self._errors.get(key)
                fitted = self._bodies.fit_limit(body, str(error)) if error else None
                if fitted is None:
                    break
                body = fitted
            self._ready.append(self._reply(request.tag, key, error, body))

    def collect(self) -> list[Reply]:
        """What the files say to all that was submitted."""
        ready, self._ready = self._ready, []
        return ready

    def close(self) -> None:
        """Finish the files of requests, take away those of earlier runs, tell what failed."""
        self._closing.close()
        remove_requests(self._folder, self._name, keep=self._files)
        for problem, count in self._left.most_common(3):
            _tell(f"{count:,} requests failed and are written again: {explain_refusal(problem)}")
        if self._answers and self._written and not self._used:
            _tell(
                f"none of the {len(self._answers):,} answers in {self._folder} is to a request of "
                "this run"
            )

    def _read(self, path: Path) -> None:
        """Index a file of answers; a line that is none, or cut short, is passed over."""
        damaged = start = 0
        with path.open("rb") as lines:
            for line in lines:
                key, outcome = _read_line(line, self._logprobs)
                if isinstance(outcome, Reply):
                    self._answers[key] = path, start
                    self._errors.pop(key, None)
                elif key and key not in self._answers:
                    self._errors[key] = outcome
                damaged += not key and not line.isspace()
                start += len(line)
        if damaged:
            _tell(f"{path}: {damaged:,} lines are no answers, and passed over")

    def _reply(
        self, tag: int, key: str, error: RubbishError | None, body: Mapping[str, Any]
    ) -> Reply:
        if key in self._answers:
            self._used += 1
            path, start = self._answers[key]
            with path.open("rb") as file:
                file.seek(start)
                _, outcome = _read_line(file.readline(), self._logprobs)
            if isinstance(outcome, Reply):  # if not, the file was changed meanwhile
                return replace(outcome, tag=tag)
        if error is not None:
            self._used += 1
            if is_about_prompt(error.status, str(error)):
                return Reply(tag, "", 0, 0, refused=str(error))
        if key not in self._written:
            self._written.add(key)
            if error is not None:
                self._left[str(error)] += 1
            self._write({"custom_id": key, "method": "POST", "url": URL, "body": body})
        return Reply(tag, "", 0, 0, left_open=True)

    def _write(self, request: Mapping[str, Any]) -> None:
        line = json.dumps(request) + "\n"
        full = self._lines == MOST_REQUESTS or self._bytes + len(line) > MOST_BYTES
        if self._file is None or full:
            self._closing.close()
            self._files += 1
            self._lines = self._bytes = 0
            path = self._folder / f"{self._name}_{self._files:03}.jsonl"
            temporary = self._closing.enter_context(atomic_write(path))
            self._file = self._closing.enter_context(temporary.open("w", encoding="ascii"))
        self._file.write(line)
        self._lines += 1
        self._bytes += len(line)


def request_files(folder: Path, name: str = REQUESTS) -> list[Path]:
    """The files of requests in ``folder``, in order."""
    return sorted(folder.glob(f"{name}_[0-9][0-9][0-9].jsonl"))


def remove_requests(folder: Path, name: str, keep: int = 0) -> None:
    """Delete the files of requests that follow the first ``keep``."""
    for path in request_files(folder, name)[keep:]:
        path.unlink()


def answer_files(folder: Path) -> list[Path]:
    """The files in ``folder`` that may hold answers, in order."""
    return sorted(path for path in folder.glob("*.jsonl") if not path.name.startswith(REQUESTS))


def next_steps(folder: Path, name: str, model: str, max_model_len: int | None) -> str:
    """How the requests in ``folder`` get their answers, with the commands."""
    length = () if max_model_len is None else ("--max-model-len", str(max_model_len))
    number, lines = len(answer_files(folder)), []
    for path in request_files(folder, name):
        number += 1
        while (answers := folder / f"answers_{number:03}.jsonl").exists():
            number += 1
        words = ("vllm", "run-batch", "-i", path, "-o", answers, "--model", model, *length)
        lines.append(shlex.join(map(str, words)))
    return "\n".join(
        (
            "answer them by vLLM:",
            *lines,
            f"or upload the files to a batch service (endpoint {URL}), and put what comes back, "
            f"answers and errors, into {folder} as *.jsonl",
            "then run this command again; it collects what is there, and leaves the rest open",
        )
    )


def _read_line(line: bytes, logprobs: bool) -> tuple[str, Reply | RubbishError]:
    """The ``custom_id`` of a line of answers ("" if it has none) and what it says."""
    try:
        content = json.loads(line)
        key = content["custom_id"]
        if not isinstance(key, str):
            raise ValueError(key)
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", RubbishError("no answer")
    response = content.get("response")
    response = response if isinstance(response, dict) else {}
    status, body = response.get("status_code"), response.get("body")
    status = status if isinstance(status, int) else 200
    try:
        raise_error(content.get("error"), status)
        if status >= 400:
            raise_error(body or "no reason given", status)
        return key, read_completion(0, body, logprobs=logprobs)
    except RubbishError as error:
        return key, error


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]


def _tell(what: str) -> None:
    tqdm.write(printable(f"note: {what}"), file=sys.stderr)
