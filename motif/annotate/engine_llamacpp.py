"""llama.cpp in a process of its own, asked through its servers: a GGUF file on any machine."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from motif.annotate.chat import ModelError, Reply, Sampling
from motif.annotate.engine_openai import OpenAIChatModel
from motif.annotate.gguf import read_gguf
from motif.annotate.refusals import INSTEAD
from motif.cores import cores
from motif.errors import MissingPackageError
from motif.processes import guarded

LENGTH = 8192  # tokens of prompt and answer, if the model has so many: memory is taken for all
SHARE = 4  # of the memory, for one server: so many times the size of its weights must be there
DAY = 86_400.0  # seconds: a slow machine's answer is waited for; a server that ended is noticed
PATIENCE = 5.0  # seconds with a server that does not answer at all: it has ended


class LlamaCppChatModel(OpenAIChatModel):
    """A chat model in a GGUF file, behind servers on loopback that end with this process.

    A server of one thread answers one prompt after the other, and there is one for each core:
    measured, that is faster than one server with all threads, which wait for each other. Where
    llama.cpp sees a GPU, one server has it.

    Args:
        model: a GGUF file.
        max_model_len: tokens of prompt and answer; by default the model's, 8192 at most.
        concurrency: most servers.
        extra_body: fields to add to each request.

    Raises:
        MissingPackageError: xllamacpp is not installed.
        ModelError: the file is no chat model, or cannot be loaded.
    """

    def __init__(
        self,
        model: Path,
        sampling: Sampling,
        *,
        max_model_len: int | None = None,
        concurrency: int = 256,
        extra_body: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingPackageError(
                f"xllamacpp is not installed: pip install '.[llamacpp]'; {INSTEAD}"
            )
        found = read_gguf(model)
        if "tokenizer.chat_template" not in found:
            raise ModelError(
                f"{str(model)!r} has no chat template, so it is no chat model; take one that was "
                "tuned for conversations (its name often ends in chat, instruct or it)"
            )
        known = found.get(f"{found.get('general.architecture')}.context_length", LENGTH)
        servers, threads = _divide(model.stat().st_size, concurrency)
        settings = {
            "model": str(model),
            "name": model.stem,
            "servers": servers,
            "threads": threads,
            "length": max_model_len or min(known, LENGTH),
        }
        self._guard = contextlib.ExitStack()
        self._guard.enter_context(guarded())
        try:
            addresses = self._start(settings)
            super().__init__(
                model.stem,
                sampling,
                base_url=addresses,
                api_key_env="",
                concurrency=len(addresses),
                timeout=DAY,
                patience=PATIENCE,
                extra_body=extra_body,
            )
        except BaseException:
            self._guard.close()
            raise

    def collect(self) -> list[Reply]:
        """Wait for a reply; return it with all others that are there.

        Raises:
            ModelError: a prompt is refused as all others would be, or llama.cpp has ended.
        """
        try:
            return super().collect()
        except ModelError:
            if self._process.poll() is None:
                raise
            raise ModelError(self._ended("llama.cpp has ended")) from None

    def close(self) -> None:
        """Drop what is under way; end the servers."""
        super().close()
        self._guard.close()

    def _start(self, settings: dict[str, Any]) -> list[str]:
        """Start the servers; an address for each request at once, once they are up."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._guard.enter_context(self._errors)
        script = Path(__file__).with_name("llamacpp_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is not meant for it
        )
        self._guard.callback(self._process.communicate)
        self._guard.callback(self._process.kill)
        assert self._process.stdout is not None
        addresses = self._process.stdout.readline()
        if not addresses:
            self._process.wait()
            raise ModelError(self._ended(f"llama.cpp cannot load {settings['model']!r}"))
        exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        os.environ["no_proxy"] = f"{exempt},127.0.0.1".strip(",")
        return [f"{address}/v1" for address in json.loads(addresses)]

    def _ended(self, what: str) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        said = next((line for line in lines if "error" in line), f"code {self._process.returncode}")
        return (
            f"{what} ({said.split(' E ')[-1].strip()[:300]}); see that the file is whole; where "
            "memory is short, lower --max-model-len, or --num-workers, or take a smaller model"
        )


def _divide(size: int, most: int) -> tuple[int, int]:
    """How many servers of how many threads, for weights of ``size`` bytes."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    servers = max(min(cores(), most, memory // (SHARE * size)), 1)
    return servers, cores() // servers
