"""GGUF files, and llama.cpp's servers with a real model."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from smollm2 import ONE_TOKEN_MODES, SHA256, smollm2

from motif.annotate import engine_llamacpp, llamacpp_server
from motif.annotate.chat import Message, ModelError, Request, Sampling
from motif.annotate.gguf import identify_gguf, read_gguf
from motif.pairs_dataset import PairsDataset
from scripts.annotate_pairs_dataset import main

MakeDataset = Callable[..., PairsDataset]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(**entries: str | int | list[str] | list[int]) -> bytes:
    """A GGUF file without weights."""
    content = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries))
    for key, value in entries.items():
        content += text(key)
        if isinstance(value, str):
            content += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            content += struct.pack("<II", 4, value)
        elif isinstance(value[0], str):
            content += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, map(str, value)))
        else:
            content += struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
    return content


def line(pairs: PairsDataset, model: Path, *arguments: str) -> list[str]:
    line = ["--directory", str(pairs.directory), "--backend", "llamacpp", "--model", str(model)]
    return [*line, "--answer-mode", "direct", "--max-model-len", "1024", *arguments]


def test_the_metadata_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "small.gguf"
    entries = {"words": ["a", "café"], "numbers": [1, 2, 3], "general.name": "Small", "length": 7}
    path.write_bytes(gguf(**entries))
    assert read_gguf(path) == {"general.name": "Small", "length": 7}
    assert identify_gguf(path)["name"] == "Small"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read (No such file or directory); it must be a GGUF file"),
        (b"", "is no GGUF file"),
        (b"PK\3\4 and more", "is no GGUF file"),
        (gguf(name="x" * 100)[:60], "is damaged; fetch it again"),
        (b"GGUF" + b"\xff" * 100, "is damaged; fetch it again"),
        (gguf(name="base"), "has no chat template"),
        (gguf(**{"tokenizer.chat_template": "{{ messages }}"}), "llama.cpp cannot load"),
    ],
    ids=["missing", "empty", "archive", "cut", "noise", "no template", "no weights"],
)
def test_files_that_cannot_be_used(
    make_dataset: MakeDataset,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    content: bytes | None,
    problem: str,
) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    assert main(line(make_dataset(8), path)) == 2
    said = capfd.readouterr().err
    assert problem in said.splitlines()[-1]
    assert "Traceback" not in said


def test_without_the_package(
    make_dataset: MakeDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(name="base"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(line(make_dataset(8), path)) == 2
    assert "pip install '.[llamacpp]'" in capsys.readouterr().err.splitlines()[-1]


def test_a_server_for_each_core_as_far_as_the_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 16 * 2**30 if "PHYS" in name else 1)
    assert engine_llamacpp._divide(2**28, 256) == (8, 1)
    assert engine_llamacpp._divide(2**28, 2) == (2, 4)
    assert engine_llamacpp._divide(2**30, 256) == (4, 2)
    assert engine_llamacpp._divide(2**35, 256) == (1, 8)


@pytest.mark.parametrize(("device", "servers", "slots"), [("CPU", 3, 1), ("IGPU", 1, 4)])
def test_a_gpu_is_not_shared_by_servers(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    device: str,
    servers: int,
    slots: int,
) -> None:
    package, started = ModuleType("xllamacpp"), []

    def start(params: MagicMock) -> SimpleNamespace:
        started.append(params)
        return SimpleNamespace(listening_address=f"http://127.0.0.1:{len(started)}")

    kind = SimpleNamespace(name=f"GGML_BACKEND_DEVICE_TYPE_{device}")
    package.__dict__.update(
        CommonParams=MagicMock, Server=start, get_device_info=lambda: [{"type": kind}]
    )
    monkeypatch.setitem(sys.modules, "xllamacpp", package)
    monkeypatch.setattr("os._exit", lambda status: None)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    asked = {"model": "a.gguf", "name": "a", "servers": 3, "threads": 2, "length": 100}
    llamacpp_server.main(json.dumps(asked))
    addresses = json.loads(capsys.readouterr().out)
    assert (len(started), len(set(addresses))) == (servers, servers)
    assert len(addresses) == servers * slots
    assert {(params.n_parallel, params.n_ctx) for params in started} == {(slots, 100 * slots)}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ONE_TOKEN_MODES)
def test_labels_of_a_real_model_then_once_more_from_the_cache(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # not for loopback
    monkeypatch.setenv("no_proxy", "example.org")
    pairs = make_dataset(8)
    arguments = line(pairs, smollm2(), "--min-mass", "0.01", "--answer-mode", mode)
    assert main([*arguments, "--custom-annotator-string", "set"]) == 0
    folder = pairs.directory / "preference"
    labels, probabilities = np.load(folder / "set.npy"), np.load(folder / "set.probs.npy")
    assert not (labels == 3).any()
    assert probabilities[:, :3].sum(axis=1) == pytest.approx(np.ones(8), abs=1e-4)
    assert len(np.unique(probabilities[:, 0])) > 2
    provenance = json.loads((folder / "set.json").read_text())
    assert provenance["source"]["model"]["sha256"] == SHA256
    assert provenance["served"] == {"ftype": "Q4_1", "n_params": 134515008, "size": 96576768}
    monkeypatch.setattr("motif.annotate.stage.make_chat_model", None)
    monkeypatch.setattr("motif.annotate.assemble.make_chat_model", None)
    assert main([*arguments, "--custom-annotator-string", "again"]) == 0
    assert np.array_equal(np.load(folder / "again.npy"), labels)


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in found}
    return [child for child, command in commands.items() if b"llamacpp_server" in command]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_its_servers_end_with_a_killed_run(make_dataset: MakeDataset) -> None:
    pytest.importorskip("xllamacpp")
    command = [sys.executable, "-m", "scripts.annotate_pairs_dataset"]
    process = subprocess.Popen([*command, *line(make_dataset(50), smollm2())])
    while not (servers := children(process.pid)):
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{server}").exists() for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_servers_that_end_are_noticed_and_a_long_prompt_is_refused_alone() -> None:
    pytest.importorskip("xllamacpp")
    sampling = Sampling(temperature=0.0, max_new_tokens=8)
    model = engine_llamacpp.LlamaCppChatModel(smollm2(), sampling, max_model_len=256)
    try:
        assert model.max_model_len == 256
        model.submit([Request(1, [Message(role="user", content="newt " * 1000)])])
        (reply,) = model.collect()
        assert "exceeds the available context size" in reply.refused
        model.submit([Request(2, [Message(role="user", content="Say hello.")])])
        (reply,) = model.collect()
        assert reply.tag == 2 and reply.text and 0 < reply.new_tokens <= 8
        model._process.kill()
        model.submit([Request(3, [Message(role="user", content="Say hello.")])])
        with pytest.raises(ModelError, match="cpp has ended"):
            model.collect()
    finally:
        model.close()
