"""Requests as files: written, answered in any order and manner, collected."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_server import FakeServer
from scripted_chat import MANY_TEXTS, captions_of, reasoned

from motif.annotate import engine_batch
from motif.annotate.engine_batch import answer_files, request_files
from motif.pairs_dataset import PairsDataset
from scripts.annotate_pairs_dataset import main

MakeDataset = Callable[..., PairsDataset]
Json = dict[str, Any]
NAME = "tiny_msg_defaultgoal_default"
DIRECT = ("--answer-mode", "direct")
OPEN = 3
FINDS = tuple(f"You see here {number} darts." for number in range(40))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    fake.max_model_len = None
    yield fake
    fake.close()


@pytest.fixture
def pairs(make_dataset: MakeDataset) -> PairsDataset:
    return make_dataset(80, texts=(*MANY_TEXTS, *FINDS))


def batch(pairs: PairsDataset, *arguments: str) -> int:
    line = ["--directory", str(pairs.directory), "--backend", "batch", "--model", "tiny"]
    return main([*line, *arguments])


def folder(pairs: PairsDataset) -> Path:
    (found,) = (pairs.directory / "preference/batches").iterdir()
    return found


def requests(pairs: PairsDataset) -> list[Json]:
    paths = request_files(folder(pairs))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def answered(server: FakeServer, request: Json) -> Json:
    body = server.completion(request["body"])
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": request["custom_id"], "response": response, "error": None}


def put(pairs: PairsDataset, name: str, lines: list[Any]) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder(pairs) / name).write_text("\n".join(texts) + "\n")


def labels(pairs: PairsDataset, name: str = NAME) -> np.ndarray:
    return np.load(pairs.directory / "preference" / f"{name}.npy")


def over_http(pairs: PairsDataset, server: FakeServer, *arguments: str) -> np.ndarray:
    """The labels that the same answers give, got one by one."""
    line = ["--directory", str(pairs.directory), "--backend", "openai", "--model", "tiny"]
    line += ["--base-url", server.url, "--custom-annotator-string", "http"]
    cache = ["--cache-dir", str(pairs.directory / "apart")]
    assert main([*line, *cache, *arguments]) == 0
    return labels(pairs, "http")


@pytest.mark.parametrize("mode", [(), DIRECT, ("--seed", "3"), ("--temperature", "none")])
def test_labels_are_those_of_a_server(
    pairs: PairsDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    mode: tuple[str, ...],
) -> None:
    expected = over_http(pairs, server, *mode)
    sent = [{**body, "seed": 0} for body in server.bodies]
    assert batch(pairs, *mode) == OPEN
    asked = requests(pairs)
    key = lambda body: json.dumps(body, sort_keys=True)  # noqa: E731
    assert sorted(map(key, sent)) == sorted(key({**line["body"], "seed": 0}) for line in asked)
    assert {(line["method"], line["url"]) for line in asked} == {("POST", "/v1/chat/completions")}
    said = capsys.readouterr().out
    assert "pairs wait for answers; the other labels are kept" in said
    words = shlex.split(next(line for line in said.splitlines() if line.startswith("vllm")))
    assert words[:3] == ["vllm", "run-batch", "-i"]
    assert Path(words[3]) == request_files(folder(pairs))[0]
    name = NAME + ("_direct" if mode == DIRECT else "")
    assert not (pairs.directory / f"preference/{name}.npy").exists()
    lines = [answered(server, line) for line in asked]
    random.Random(0).shuffle(lines)
    put(pairs, Path(words[5]).name, lines)
    assert batch(pairs, *mode) == 0
    assert np.array_equal(labels(pairs, name), expected)
    assert requests(pairs) == []  # nothing is left to ask


def test_in_parts_by_chunks_and_split(
    pairs: PairsDataset, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_batch, "MOST_REQUESTS", 7)
    expected = over_http(pairs, server)
    chunks = [("--n-annotation-chunks", "2", "--chunk-number", str(chunk)) for chunk in (0, 1)]
    assert [batch(pairs, *chunk) for chunk in chunks] == [OPEN, OPEN]
    names = [path.name for path in folder(pairs).iterdir()]
    assert {"requests_0-of-2_001.jsonl", "requests_1-of-2_002.jsonl"} <= set(names)
    written = [path.read_text().splitlines() for path in folder(pairs).iterdir()]
    assert max(map(len, written)) == 7
    ids = [{json.loads(line)["custom_id"]: line for line in lines} for lines in written]
    assert list(map(len, ids)) == list(map(len, written))
    asked = [
        json.loads(line) for line in {k: v for known in ids for k, v in known.items()}.values()
    ]
    put(pairs, "some.jsonl", [answered(server, line) for line in asked[: len(asked) // 2]])
    assert OPEN in [batch(pairs, *chunk) for chunk in chunks]
    left = {line for path in folder(pairs).glob("requests*") for line in path.open()}
    assert len(left) == len(asked) - len(asked) // 2
    put(pairs, "others.jsonl", [answered(server, line) for line in asked[len(asked) // 2 :]])
    assert [batch(pairs, *chunk) for chunk in chunks] == [0, 0]
    assert np.array_equal(labels(pairs), expected)
    assert not list(folder(pairs).glob("requests*"))


def test_files_are_split_by_size(pairs: PairsDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_batch, "MOST_BYTES", 20_000)
    assert batch(pairs) == OPEN
    sizes = [path.stat().st_size for path in request_files(folder(pairs))]
    assert len(sizes) > 2
    assert 10_000 < max(sizes) <= 20_000


def error_line(status: int, message: str, **where: Any) -> Callable[[Json], Json]:
    error = {"message": message, "type": "x", "code": None}

    def line(request: Json) -> Json:
        body = {"error": error}
        response = {"status_code": status, "request_id": "r", "body": body} | where
        return {"custom_id": request["custom_id"], "response": response, "error": None}

    return line


def expired(request: Json) -> Json:
    error = {"code": "batch_expired", "message": "not executed before the window expired"}
    return {"custom_id": request["custom_id"], "response": None, "error": error}


def of_vllm(request: Json) -> Json:
    """A refusal as vllm run-batch writes it."""
    error = {"error": {"message": "maximum context length is 16 tokens", "code": 400}}
    response = {"status_code": 400, "request_id": "r", "body": None}
    return {"custom_id": request["custom_id"], "response": response, "error": error}


@pytest.mark.parametrize(
    ("spoil", "outcome", "told"),
    [
        (expired, "open", "batch_expired not executed before the window expired"),
        (error_line(429, "slow down"), "open", "HTTP 429:  slow down"),
        (error_line(500, "boom"), "open", "HTTP 500:  boom"),
        (error_line(401, "no key"), "open", "HTTP 401"),
        (error_line(400, "unknown field top_k"), "open", "add --top-k 0"),
        (error_line(200, "x", body=None), "open", "no chat completion"),
        (error_line(200, "x", body={"choices": []}), "open", "no chat completion"),
        (error_line(200, "rate", body={"error": {"code": 429}}), "open", "HTTP 200: 429"),
        (error_line(400, "blocked by the content filter"), "refused", "content filter"),
        (error_line(400, "bad", body=None), "refused", "no reason given"),
        (of_vllm, "longer", ""),
        (lambda request: "not JSON {", "open", "1 lines are no answers"),
        (lambda request: json.dumps(request)[:40], "open", "1 lines are no answers"),
        (lambda request: [1, 2], "open", "1 lines are no answers"),
        (lambda request: {"custom_id": 7}, "open", "1 lines are no answers"),
        (lambda request: "[" * 100_000, "open", "1 lines are no answers"),
        (lambda request: {"custom_id": request["custom_id"]}, "open", "no chat completion"),
        (lambda request: "", "open", ""),
    ],
)
def test_one_bad_line(
    pairs: PairsDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Json], Any],
    outcome: str,
    told: str,
) -> None:
    expected = over_http(pairs, server)
    assert batch(pairs) == OPEN
    asked = requests(pairs)
    bad, lines = asked[3], [answered(server, line) for line in asked]
    put(pairs, "output.jsonl", [line for line in lines if line["custom_id"] != bad["custom_id"]])
    put(pairs, "z_errors.jsonl", [spoil(bad)])
    assert told in (told and _told(pairs, capsys, outcome))
    if outcome == "refused":
        assert (labels(pairs) == 3).sum() == 1
        provenance = json.loads((pairs.directory / f"preference/{NAME}.json").read_text())
        assert [len(listed) for listed in provenance["refused"].values()] == [1]
    elif not told:
        assert batch(pairs) == OPEN
    if outcome != "refused":
        (again,) = requests(pairs)
        assert again["body"].get("max_tokens") == (4096 if outcome == "open" else None)
        assert (again["custom_id"] == bad["custom_id"]) == (outcome == "open")
        put(pairs, "a_second.jsonl", [answered(server, again)])  # before the error, by name
        assert batch(pairs) == 0
        assert np.array_equal(labels(pairs), expected)


def _told(pairs: PairsDataset, capsys: pytest.CaptureFixture[str], outcome: str) -> str:
    capsys.readouterr()
    assert batch(pairs) == (0 if outcome == "refused" else OPEN)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return said.out + said.err


def test_the_other_name_of_the_longest_answer_is_learnt(
    pairs: PairsDataset, server: FakeServer
) -> None:
    assert batch(pairs) == OPEN
    refuse = error_line(400, "max_tokens is not supported; use max_completion_tokens")
    put(pairs, "errors.jsonl", [refuse(line) for line in requests(pairs)])
    assert batch(pairs) == OPEN
    again = requests(pairs)
    assert {line["body"]["max_completion_tokens"] for line in again} == {4096}
    assert not any("max_tokens" in line["body"] for line in again)
    put(pairs, "answers.jsonl", [answered(server, line) for line in again])
    assert batch(pairs) == 0


def test_a_second_turn_is_asked_in_a_second_round(pairs: PairsDataset, server: FakeServer) -> None:
    def say(text: str, request: Json) -> Json:
        line = answered(server, request)
        line["response"]["body"]["choices"][0]["message"]["content"] = text
        return line

    expected = over_http(pairs, server)
    assert batch(pairs) == OPEN
    put(pairs, "first.jsonl", [say("Hard to say.", line) for line in requests(pairs)])
    assert batch(pairs) == OPEN
    second = requests(pairs)
    assert {len(line["body"]["messages"]) for line in second} == {4}
    decided = []
    for line in second:
        first = line["body"]["messages"][1]["content"]
        decided.append(say(reasoned(*captions_of(first)), line))
    put(pairs, "second.jsonl", decided)
    assert batch(pairs) == 0
    assert np.array_equal(labels(pairs), expected)


def test_one_order_of_a_direct_question_is_not_enough(
    pairs: PairsDataset, server: FakeServer
) -> None:
    expected = over_http(pairs, server, *DIRECT)
    assert batch(pairs, *DIRECT) == OPEN
    asked = requests(pairs)
    put(pairs, "one.jsonl", [answered(server, line) for line in asked[::2]])
    assert batch(pairs, *DIRECT) == OPEN
    assert [line["custom_id"] for line in requests(pairs)] == [
        line["custom_id"] for line in asked[1::2]
    ]
    put(pairs, "two.jsonl", [answered(server, line) for line in asked[1::2]])
    assert batch(pairs, *DIRECT) == 0
    assert np.array_equal(labels(pairs, f"{NAME}_direct"), expected)


def test_a_batch_half_done_is_finished_by_a_server(pairs: PairsDataset, server: FakeServer) -> None:
    expected = over_http(pairs, server)
    assert batch(pairs) == OPEN
    asked = requests(pairs)
    put(pairs, "half.jsonl", [answered(server, line) for line in asked[::2]])
    assert batch(pairs) == OPEN
    server.bodies.clear()
    line = ["--directory", str(pairs.directory), "--backend", "openai", "--model", "tiny"]
    assert main([*line, "--base-url", server.url]) == 0
    assert len(server.bodies) == len(asked[1::2])
    assert np.array_equal(labels(pairs), expected)


def test_answers_to_other_requests_are_told(
    pairs: PairsDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(pairs, *DIRECT) == OPEN
    put(pairs, "answers.jsonl", [answered(server, line) for line in requests(pairs)])
    assert batch(pairs, *DIRECT, "--top-logprobs", "5") == OPEN
    assert "is to a request of this run" in capsys.readouterr().err
    assert len(answer_files(folder(pairs))) == 1


def test_a_killed_run_leaves_whole_files(
    pairs: PairsDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill does, nothing of the command's own ending runs."""
    assert batch(pairs) == OPEN
    asked = requests(pairs)

    def stop(*arguments: object) -> None:
        raise SystemExit(137)

    monkeypatch.setattr(engine_batch.BatchChatModel, "close", lambda self: None)
    monkeypatch.setattr(engine_batch.BatchChatModel, "collect", stop)
    with pytest.raises(SystemExit):
        batch(pairs)
    monkeypatch.undo()
    assert requests(pairs) == asked
    assert batch(pairs) == OPEN
    assert requests(pairs) == asked
    assert not list(folder(pairs).glob(".*"))


def test_the_same_twice_is_no_batch(
    pairs: PairsDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        batch(pairs, "--no-dedupe")
    assert "a batch knows a request by what it asks" in capsys.readouterr().err
