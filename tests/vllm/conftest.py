"""Real vLLM on the CPU with a tiny model; `make test-vllm` runs these in their own environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from motif.messages import encode
from motif.pairs_dataset import ARRAYS, PairsDataset

try:  # not `vllm` itself: this folder has the same name
    import vllm.version  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
ENGINE = '{"enforce_eager": true}'
LENGTH = "1024"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model trained on the spot; MOTIF_TINY_MODEL names one that is there."""
    ready = os.environ.get("MOTIF_TINY_MODEL")
    if ready:
        return Path(ready)
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    command = [sys.executable, Path(__file__).with_name("tiny_chat_model.py"), "--output", folder]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def in_process(tiny_model: Path) -> list[str]:
    """Flags of the command for the tiny model inside vLLM."""
    line = ["--backend", "vllm", "--model", str(tiny_model), "--dtype", "float32"]
    return [*line, "--max-model-len", LENGTH, "--engine-args", ENGINE]


@pytest.fixture
def make_pairs(tmp_path: Path) -> Callable[..., PairsDataset]:
    """``make_pairs(n)`` writes pairs of messages such as the tiny model was trained on."""
    from tiny_chat_model import random_message

    def make(pairs: int, *, name: str = "motif_dataset", seed: int = 1) -> PairsDataset:
        import random

        rng = random.Random(seed)
        texts = [encode(random_message(rng)) for _ in range(2 * pairs)]
        path = tmp_path / name / ARRAYS["message"].folder / "message.npy"
        path.parent.mkdir(parents=True)
        np.save(path, np.stack(texts).reshape(pairs, 2, 1, -1))
        return PairsDataset(tmp_path / name)

    return make


class Server:
    """vLLM's own OpenAI server, which can be killed and started again."""

    def __init__(self, model: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        self._command += ["--model", str(model), "--served-model-name", "tiny"]
        self._command += ["--host", "127.0.0.1", "--port", str(self.port), "--enforce-eager"]
        self._command += ["--dtype", "float32", "--max-model-len", LENGTH]
        self._log = log.open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def wait(self, seconds: float = 600.0) -> None:
        for _ in range(int(seconds)):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5)
                return
            except OSError:
                assert self.process is None or self.process.poll() is None, "the server died"
                time.sleep(1)
        raise TimeoutError(f"no server after {seconds} s")

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.process = None


@pytest.fixture(scope="session")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tiny_model, tmp_path_factory.mktemp("server") / "log")
    started.start()
    try:
        started.wait()
        yield started
    finally:
        started.kill()
