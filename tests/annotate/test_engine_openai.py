"""The HTTP engine against a server on loopback: concurrency, faults, keys, restarts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_server import FakeServer
from scripted_chat import MANY_TEXTS, captions_of

from motif.annotate import engine_openai
from motif.annotate.captions import captioned_pairs
from motif.annotate.chat import Message, Request, Sampling
from motif.annotate.engine_openai import OpenAIChatModel
from motif.pairs_dataset import PairsDataset
from scripts.annotate_pairs_dataset import main

MakeDataset = Callable[..., PairsDataset]
NAME = "tiny_msg_defaultgoal_default"
KEY = "sk-very-secret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr(engine_openai, "PAUSE", 0.02)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    fake = FakeServer()
    yield fake
    fake.close()


def annotate(pairs: PairsDataset, server: FakeServer, *arguments: str) -> int:
    line = ["--directory", str(pairs.directory), "--backend", "openai", "--model", "tiny"]
    line += ["--base-url", server.url, "--server-patience", "0.5", *arguments]
    return main(line)


def labels(pairs: PairsDataset, name: str = NAME) -> np.ndarray:
    return np.load(pairs.directory / "preference" / f"{name}.npy")


def test_labels_over_http_with_bounded_concurrency(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    pairs = make_dataset(100, texts=MANY_TEXTS)
    server.delay = 0.01
    assert annotate(pairs, server, "--num-workers", "8") == 0
    assert not (labels(pairs) == 3).any()
    assert 2 <= server.most_at_once <= 8


def test_what_is_sent(make_dataset: MakeDataset, server: FakeServer) -> None:
    server.max_model_len = 8192
    assert annotate(make_dataset(20), server) == 0
    assert all("seed" not in body for body in server.bodies)
    server.bodies.clear()
    assert annotate(make_dataset(20, name="seeded"), server, "--seed", "3") == 0
    body = server.bodies[0]
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.1, 0.95, 50)
    assert (body["max_tokens"], body["model"]) == (4096, "tiny")
    assert len({body["seed"] for body in server.bodies}) == len(server.bodies)


def test_an_answer_length_that_the_server_would_refuse_is_left_to_it(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    server.max_model_len = 4096  # Llama 2: the paper's 4,096 new tokens do not fit
    assert annotate(make_dataset(20), server, "--top-k", "0") == 0
    assert "max_tokens" not in server.bodies[0]
    assert "top_k" not in server.bodies[0]


def test_an_answer_length_that_does_not_fit_beside_one_prompt_is_left_to_the_server(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    pairs = make_dataset(60, texts=MANY_TEXTS)
    complete = server.complete

    def strict(body: dict[str, Any]) -> tuple[int, str]:
        if "max_tokens" in body and "number 7!" in body["messages"][1]["content"]:
            return 400, error_body("'max_tokens' is too large: 900; maximum context length is 1024")
        return complete(body)

    server.complete = strict  # type: ignore[method-assign]
    server.max_model_len = 1024
    assert annotate(pairs, server, "--max-new-tokens", "900") == 0
    assert not (labels(pairs) == 3).any()
    assert {body.get("max_tokens") for body in server.bodies} == {900, None}


def test_what_llama_cpp_tells_of_its_model_and_its_words_for_a_prompt_without_room(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    pairs = make_dataset(60, texts=MANY_TEXTS)
    meta = {"n_ctx": 3000, "n_params": 135, "size": 97, "ftype": "Q4_1", "n_vocab": 9}
    server.models_body = json.dumps({"data": [{"id": "tiny", "meta": meta}]})
    said = (
        "request (10031 tokens) exceeds the available context size (3000 tokens), try increasing it"
    )
    server.by_body = lambda body: (
        (400, error_body(said)) if "number 7!" in body["messages"][1]["content"] else None
    )
    assert annotate(pairs, server) == 0
    assert "max_tokens" not in server.bodies[0]  # 4,096 are more than there are
    provenance = json.loads((pairs.directory / f"preference/{NAME}.json").read_text())
    assert provenance["served"] == {"n_params": 135, "size": 97, "ftype": "Q4_1"}
    assert provenance["source"]["model"] == {"name": "tiny", "weights": "as served"}
    assert list(provenance["refused"]) == [said]
    assert provenance["counts"]["unknown"] == len(provenance["refused"][said]) > 0


def test_several_servers_share_the_requests(server: FakeServer) -> None:
    other = FakeServer()
    model = OpenAIChatModel("tiny", Sampling(), base_url=[server.url, other.url], concurrency=4)
    prompts = [Message(role="user", content=f"Which is better?\n{index}") for index in range(40)]
    server.completion = other.completion = lambda body: {  # type: ignore[method-assign]
        "choices": [{"message": {"content": body["messages"][0]["content"]}}]
    }
    server.delay = other.delay = 0.01
    model.submit([Request(index, [prompt]) for index, prompt in enumerate(prompts)])
    replies = []
    while len(replies) < 40:
        replies += model.collect()
    model.close()
    other.close()
    assert all(reply.text == prompts[reply.tag]["content"] for reply in replies)
    assert min(len(server.bodies), len(other.bodies)) >= 10
    assert max(server.most_at_once, other.most_at_once) <= 2


def test_direct_mode_continues_the_answer(make_dataset: MakeDataset, server: FakeServer) -> None:
    pairs = make_dataset(60)
    assert annotate(pairs, server, "--answer-mode", "direct") == 0
    body = server.bodies[0]
    assert body["messages"][-1]["role"] == "assistant"
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert (body["max_tokens"], body["top_logprobs"], body["temperature"]) == (1, 20, 0.0)
    probabilities = labels(pairs, f"{NAME}_direct.probs")
    assert probabilities[:, :3].sum(axis=1) == pytest.approx(np.ones(60))


def error_body(message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}})


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ((500, error_body("boom")), "has not answered for"),
        ((503, "<html>busy</html>"), "HTTP 503"),
        ((429, error_body("slow down")), "HTTP 429"),
        ((200, "<html>hello</html>"), "what it sends is no chat completion"),
        ((200, '{"choices": []}'), "what it sends is no chat completion"),
        ((200, "null"), "what it sends is no chat completion"),
        ((401, error_body(f"Incorrect API key provided: {KEY}")), "refuses this key (HTTP 401)"),
        ((404, error_body("The model does not exist")), "has no such model or address"),
        ((400, error_body("System role not supported")), "add --system-prompt False"),
        ((400, error_body("no chat template is defined")), "tuned for conversations"),
        ((400, error_body("maximum context length is 512 tokens")), "raise --max-model-len"),
        ((400, error_body("unknown: continue_final_message")), "chain_of_thought"),
        ((422, error_body(f"bad field {KEY}")), "bad field ***"),
    ],
)
def test_faults_end_in_one_line_and_keep_the_labels(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    fault: tuple[int, str],
    problem: str,
) -> None:
    pairs = make_dataset(100, texts=MANY_TEXTS)
    server.fault = lambda number: fault if number >= 20 else None
    assert annotate(pairs, server, "--num-workers", "4") == 2
    said = capsys.readouterr().err
    assert problem in said.splitlines()[-1]
    assert "Traceback" not in said
    assert KEY not in said
    part = pairs.directory / f"preference/{NAME}.parts/chunk-0-of-1.npy"
    assert (np.load(part) != 3).sum() >= 16
    server.fault = lambda number: None
    assert annotate(pairs, server) == 0
    assert not (labels(pairs) == 3).any()


def test_faults_that_pass_cost_nothing(make_dataset: MakeDataset, server: FakeServer) -> None:
    pairs = make_dataset(60, texts=MANY_TEXTS)
    bodies = [(500, "x"), (429, "x"), (200, "rubbish"), (200, "{}"), (503, "x")]
    server.fault = lambda number: bodies[number // 7 % 5] if number % 7 == 3 else None
    assert annotate(pairs, server, "--num-workers", "4", "--server-patience", "60") == 0
    assert not (labels(pairs) == 3).any()


def test_one_prompt_that_always_fails_is_unknown_not_the_end(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    pairs = make_dataset(100)
    captions = [c[1:] for c in captioned_pairs(pairs, np.arange(100)) if c.first != c.second]
    poison = captions[3]
    original = server.complete
    server.delay = 0.02

    def poisoned(body: dict[str, Any]) -> tuple[int, str]:
        if captions_of(body["messages"][1]["content"]) == poison:
            return 500, error_body("boom")
        return original(body)

    server.complete = poisoned  # type: ignore[method-assign]
    assert annotate(pairs, server, "--num-workers", "4", "--server-patience", "60") == 0
    unknown = np.flatnonzero(labels(pairs) == 3)
    assert {c[1:] for c in captioned_pairs(pairs, unknown)} == {poison}


def test_a_timeout(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.delay = 1.0
    assert annotate(make_dataset(10), server, "--timeout", "0.3") == 2
    assert "--timeout sets how long" in capsys.readouterr().err.splitlines()[-1]


def test_no_server_at_all(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.close()
    assert annotate(make_dataset(10), server) == 2
    said = capsys.readouterr().err
    assert f"waiting for {server.url} (no connection)" in said
    assert "then start the same command again" in said


@pytest.mark.parametrize(
    "address", ["http://localhost:99999999/v1", "not_a_url", "", "ftp://host/v1", "http:///v1"]
)
def test_an_address_that_is_none_is_refused_at_once(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    address: str,
) -> None:
    assert annotate(make_dataset(10), server, "--base-url", address) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: --base-url {address!r} is no address")


def test_a_password_in_a_wrong_address_is_not_shown(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert annotate(make_dataset(10), server, "--base-url", "http://me:secret@host:999999/") == 2
    said = capsys.readouterr().err
    assert "secret" not in said and "//***@host" in said


@pytest.mark.parametrize("key", ["sk-k\u00e4se", "sk-1\nX: 2"])
def test_a_key_that_is_none_is_refused_at_once(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    monkeypatch.setenv("TEST_API_KEY", key)
    assert annotate(make_dataset(10), server, "--api-key-env", "TEST_API_KEY") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "TEST_API_KEY holds characters that no key has" in said
    assert "sk-" not in said


def test_a_server_that_comes_back(make_dataset: MakeDataset, server: FakeServer) -> None:
    pairs = make_dataset(100, texts=MANY_TEXTS)
    server.fault = lambda number: (500, "x") if number == 30 else None
    server.delay = 0.005

    def restart() -> None:
        while len(server.bodies) < 30:
            time.sleep(0.01)
        server.close()
        time.sleep(0.3)
        again.append(FakeServer(port=server.port))

    again: list[FakeServer] = []
    thread = threading.Thread(target=restart)
    thread.start()
    patience = ("--server-patience", "60", "--num-workers", "4")
    assert annotate(pairs, server, *patience) == 0
    thread.join()
    again[0].close()
    assert not (labels(pairs) == 3).any()


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ("[3]", "does not answer like an OpenAI server"),
        ('{"data": 3}', "does not answer like an OpenAI server"),
    ],
)
def test_the_list_of_models(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    models: str,
    problem: str,
) -> None:
    server.models_body = models
    assert annotate(make_dataset(10), server) == 2
    assert problem in capsys.readouterr().err


def test_a_server_that_cannot_continue_an_answer(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.continues = False
    arguments = ("--answer-mode", "direct")
    assert annotate(make_dataset(300, texts=MANY_TEXTS), server, *arguments) == 2
    assert "does not continue the answer it is given" in capsys.readouterr().err


def test_the_key_reaches_the_server_and_nothing_else(
    make_dataset: MakeDataset,
    server: FakeServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY")
    pairs = make_dataset(20)
    arguments = ("--api-key-env", "MY_KEY", "--logdir", str(tmp_path / "log"))
    assert annotate(pairs, server, *arguments) == 0
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()
    said = capsys.readouterr()
    assert KEY not in said.out + said.err


def test_credentials_in_the_address_are_not_shown(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.close()
    server.url = server.url.replace("//", "//user:hidden@")
    assert annotate(make_dataset(10), server) == 2
    assert "hidden" not in capsys.readouterr().err


def test_closing_drops_what_is_under_way(server: FakeServer) -> None:
    server.delay = 600.0
    model = OpenAIChatModel("tiny", Sampling(), base_url=server.url)
    model.submit([Request(0, [Message(role="user", content="hello")])])
    while not server.at_once:
        time.sleep(0.01)
    model.close()
    model.close()
    assert server.at_once == 1  # it still thinks about the answer


@pytest.mark.slow
def test_killed_at_random_and_resumed_gives_the_same_file(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    whole = make_dataset(400, name="whole", texts=MANY_TEXTS)
    pairs = make_dataset(400, name="killed", texts=MANY_TEXTS)
    direct = ("--answer-mode", "direct", "--num-workers", "4")
    assert annotate(whole, server, *direct) == 0
    server.delay = 0.004
    run = [sys.executable, "-m", "scripts.annotate_pairs_dataset", "--backend", "openai"]
    run += ["--directory", str(pairs.directory), "--model", "tiny"]
    run += ["--base-url", server.url, *direct]
    rng = np.random.default_rng(0)
    for _ in range(3):
        asked = len(server.bodies) + int(rng.integers(1, 200))
        process = subprocess.Popen(run, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while len(server.bodies) < asked and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait()
    assert annotate(pairs, server, *direct) == 0
    assert (labels(whole, f"{NAME}_direct") == labels(pairs, f"{NAME}_direct")).all()
    probabilities = [labels(which, f"{NAME}_direct.probs") for which in (whole, pairs)]
    assert np.array_equal(*probabilities, equal_nan=True)
