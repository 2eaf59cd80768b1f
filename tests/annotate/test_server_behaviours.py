"""Servers as they are: each behaviour, with the label or the message that a user gets."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
from fake_server import FakeServer
from scripted_chat import MANY_TEXTS, captions_of, prefer

from motif.annotate import engine_openai
from motif.annotate.captions import captioned_pairs
from motif.pairs_dataset import PairsDataset
from scripts.annotate_pairs_dataset import main

MakeDataset = Callable[..., PairsDataset]
Body = dict[str, Any]
NAME = "tiny_msg_defaultgoal_default"
EXPECTED = {"1": 0, "2": 1, "None": 2}
VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr(engine_openai, "PAUSE", 0.02)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)
    for name in (*VARIABLES, "SSL_CERT_FILE", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeServer()
    yield fake
    fake.close()


def annotate(pairs: PairsDataset, server: FakeServer, *arguments: str) -> int:
    line = ["--directory", str(pairs.directory), "--backend", "openai", "--model", "tiny"]
    line += ["--base-url", server.url, "--server-patience", "0.3", "--num-workers", "4"]
    return main([*line, *arguments])


def labels(pairs: PairsDataset, name: str = NAME) -> np.ndarray:
    return np.load(pairs.directory / "preference" / f"{name}.npy")


def expected_labels(pairs: PairsDataset) -> list[int]:
    captioned = captioned_pairs(pairs, np.arange(len(pairs)))
    return [EXPECTED[prefer(pair.first, pair.second)] for pair in captioned]


def error_body(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "x", "code": None, **more}})


def message_of(body: Body) -> str:
    return str(body["messages"][1]["content"])


def in_parts(reply: Body) -> None:
    message = reply["choices"][0]["message"]
    message["content"] = [{"type": "thinking", "thinking": "2"}, {"type": "text", **message}]
    message["content"][1]["text"] = message["content"][1].pop("content")


def by_tool(reply: Body) -> None:
    message = reply["choices"][0]["message"]
    text = message["content"].rsplit(":", 1)[1].strip(" )\n")
    arguments = json.dumps({"best_description": text, "reasons": "2 or 1"})
    message |= {
        "content": None,
        "tool_calls": [{"function": {"name": "f", "arguments": arguments}}],
    }


def thought_in_text(reply: Body) -> None:
    message = reply["choices"][0]["message"]
    message["content"] = f'<think>("best_description": 2)</think>{message["content"]}'


REPLIES: dict[str, Callable[[Body], Any]] = {
    "content in parts": in_parts,
    "the answer as a tool's arguments": by_tool,
    "thoughts in the text": thought_in_text,
    "usage with nulls": lambda r: r.update(
        usage={"prompt_tokens": None, "completion_tokens": None}
    ),
    "usage empty": lambda r: r.update(usage={}),
    "no usage": lambda r: r.pop("usage"),
    "usage is a text": lambda r: r.update(usage="much"),
    "no finish_reason": lambda r: r["choices"][0].pop("finish_reason"),
}


def change_replies(server: FakeServer, change: Callable[[Body], Any]) -> None:
    original = server.completion

    def completion(body: Body) -> Body:
        reply = original(body)
        change(reply)
        return reply

    server.completion = completion  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", REPLIES)
def test_replies_in_other_shapes_give_the_same_labels(
    make_dataset: MakeDataset, server: FakeServer, kind: str
) -> None:
    pairs = make_dataset(40, texts=MANY_TEXTS)
    change_replies(server, REPLIES[kind])
    assert annotate(pairs, server) == 0
    assert labels(pairs).tolist() == expected_labels(pairs)


def test_an_answer_cut_short_is_asked_once_more_then_unknown(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    pairs = make_dataset(40, texts=MANY_TEXTS)
    poison = next(c[1:] for c in captioned_pairs(pairs, np.arange(40)) if c.first != c.second)

    def cut(body: Body) -> tuple[int, str] | None:
        if captions_of(message_of(body)) != poison:
            return None
        reply = FakeServer.completion(server, body)
        reply["choices"][0]["finish_reason"] = "length"
        return 200, json.dumps(reply)

    server.by_body = cut
    assert annotate(pairs, server) == 0
    unknown = np.flatnonzero(labels(pairs) == 3)
    assert {c[1:] for c in captioned_pairs(pairs, unknown)} == {poison}
    assert sum(captions_of(message_of(body)) == poison for body in server.bodies) == 2


def test_thoughts_apart_and_no_answer_is_said_as_that(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def thinks(reply: Body) -> None:
        reply["choices"][0]["message"] = {"content": "", "reasoning_content": "Hm. 1 or 2?"}

    change_replies(server, thinks)
    assert annotate(make_dataset(300, texts=MANY_TEXTS), server) == 2
    said = capsys.readouterr().err
    assert "'' beside 11 characters of reasoning (reasoning_content)" in said
    assert len(server.bodies) <= 128


FILTER = error_body("The response was filtered due to the content management policy.")
REFUSALS = [
    ("content management policy", lambda body: (400, FILTER)),
    ("flagged", lambda body: (403, error_body("input was flagged by moderation"))),
    ("longer than", lambda body: (400, error_body("prompt is longer than the model allows"))),
    ("too large", lambda body: (413, error_body("request too large"))),
    ("moderation", lambda body: (200, error_body("blocked by moderation", code=403))),
    ("content_filter", None),
]


def is_refused(first: str, second: str) -> bool:
    return zlib.crc32("".join(sorted((first, second))).encode()) % 8 == 0


@pytest.mark.parametrize(("reason", "answer"), REFUSALS)
@pytest.mark.parametrize("mode", ["chain_of_thought", "direct"])
def test_one_prompt_in_eight_is_refused(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    reason: str,
    answer: Any,
    mode: str,
) -> None:
    pairs = make_dataset(100, texts=MANY_TEXTS)

    def refuse(body: Body) -> tuple[int, str] | None:
        if not is_refused(*captions_of(message_of(body))):
            return None
        if answer is not None:
            return answer(body)
        reply = FakeServer.completion(server, body)
        reply["choices"][0] |= {"finish_reason": "content_filter"}
        return 200, json.dumps(reply)

    server.by_body = refuse
    assert annotate(pairs, server, "--answer-mode", mode) == 0
    name = NAME + ("_direct" if mode == "direct" else "")
    captioned = list(captioned_pairs(pairs, np.arange(100)))
    refused = [
        pair.pair
        for pair in captioned
        if pair.first != pair.second and is_refused(pair.first, pair.second)
    ]
    found = labels(pairs, name)
    assert refused and np.flatnonzero(found == 3).tolist() == refused
    others = found != 3
    assert found[others].tolist() == np.array(expected_labels(pairs))[others].tolist()
    provenance = json.loads((pairs.directory / f"preference/{name}.json").read_text())
    listed = provenance["refused"]
    assert sorted(chain(*listed.values())) == refused
    assert all(reason in why for why in listed)
    said = capsys.readouterr().out
    assert f"unknown for want of an answer: {len(refused)}, the first pair {refused[0]}" in said
    server.by_body = lambda body: None
    assert annotate(pairs, server, "--answer-mode", mode) == 0
    assert not (labels(pairs, name) == 3).any()
    assert "refused" not in json.loads((pairs.directory / f"preference/{name}.json").read_text())


def test_a_filter_that_refuses_all_ends_the_run(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.by_body = lambda body: (400, FILTER)
    for count in (10, 1000):
        pairs = make_dataset(count, texts=MANY_TEXTS, name=str(count))
        assert annotate(pairs, server) == 2
        assert "its content filter stops these prompts" in capsys.readouterr().err.splitlines()[-1]
    assert len(server.bodies) < 500  # 10, 32 and those on their way, however slow we are


@pytest.mark.parametrize("missing", [None, {}, {"content": None}, {"content": []}])
def test_missing_log_probabilities_are_unknown_and_counted(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    missing: Any,
) -> None:
    pairs = make_dataset(60, texts=MANY_TEXTS)

    def forget(body: Body) -> tuple[int, str] | None:
        if len(message_of(body)) % 5:
            return None
        reply = FakeServer.completion(server, body)
        reply["choices"][0]["logprobs"] = missing
        return 200, json.dumps(reply)

    server.by_body = forget
    assert annotate(pairs, server, "--answer-mode", "direct") == 0
    unknown = int((labels(pairs, f"{NAME}_direct") == 3).sum())
    assert 0 < unknown < 40
    said = capsys.readouterr().out
    assert f"unknown for want of an answer: {unknown}" in said
    assert "no log-probabilities in the reply" in said


def test_a_null_log_probability_is_no_traceback(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def null(reply: Body) -> None:
        top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        top[0]["logprob"] = None

    change_replies(server, null)
    assert annotate(make_dataset(100, texts=MANY_TEXTS), server, "--answer-mode", "direct") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "no log-probabilities in the reply" in said and "chain_of_thought" in said


@pytest.mark.parametrize(
    ("status", "models", "note"),
    [
        (200, '[{"id": "tiny"}]', None),
        (200, '{"data": [{"id": "big"}]}', "has no model 'tiny'; it has: big"),
        *((status, "no", f"(HTTP {status})") for status in (403, 404, 405, 501)),
    ],
)
def test_lists_of_models(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    status: int,
    models: str,
    note: str | None,
) -> None:
    pairs = make_dataset(20)
    server.models_body, server.models_status = models, status
    assert annotate(pairs, server) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]
    assert labels(pairs).tolist() == expected_labels(pairs)


def test_the_right_name_of_the_limit_is_learnt_once(
    make_dataset: MakeDataset, server: FakeServer
) -> None:
    pairs = make_dataset(60, texts=MANY_TEXTS)
    problem = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    problem += "'max_completion_tokens' instead."
    server.max_model_len = None
    server.by_body = lambda body: (400, error_body(problem)) if "max_tokens" in body else None
    assert annotate(pairs, server) == 0
    assert labels(pairs).tolist() == expected_labels(pairs)
    first, later = server.bodies[:8], server.bodies[8:]
    assert sum("max_tokens" in body for body in first) <= 4  # as many as are under way at once
    assert all(body.get("max_completion_tokens") == 4096 for body in later)


UNSUPPORTED = [
    ("top_k", "Unrecognized request argument supplied: top_k", ["--top-k", "0"], ()),
    (
        "top_p",
        "`temperature` and `top_p` cannot both be specified for this model",
        ["--top-p", "none"],
        (),
    ),
    (
        "temperature",
        "'temperature' does not support 0.1 with this model. Only the default (1) is supported",
        ["--temperature", "none"],
        (),
    ),
    ("seed", "seed: Extra inputs are not permitted", [], ["--seed", "3"]),
]


@pytest.mark.parametrize(("name", "problem", "flag", "first"), UNSUPPORTED)
@pytest.mark.parametrize("status", [400, 422])
def test_what_a_server_does_not_take_can_be_left_out(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    name: str,
    problem: str,
    flag: list[str],
    first: list[str],
    status: int,
) -> None:
    server.by_body = lambda body: (status, error_body(problem)) if name in body else None
    assert annotate(make_dataset(20), server, *first) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert problem in said
    assert (" ".join(flag) or "leave --seed out") in said
    assert annotate(make_dataset(20, name="again"), server, *flag) == 0


def test_fewer_candidates_can_be_asked_for(
    make_dataset: MakeDataset, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = "Invalid value for 'top_logprobs': must be less than or equal to 5."
    server.by_body = lambda b: (400, error_body(problem)) if b.get("top_logprobs", 0) > 5 else None
    direct = ["--answer-mode", "direct"]
    assert annotate(make_dataset(20), server, *direct) == 2
    assert "lower --top-logprobs" in capsys.readouterr().err.splitlines()[-1]
    assert annotate(make_dataset(20), server, *direct, "--top-logprobs", "5") == 0
    assert server.bodies[-1]["top_logprobs"] == 5


def test_further_fields_headers_and_query(
    make_dataset: MakeDataset, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_KEY", "sk-hidden")
    server.url += "?api-version=2024-10"
    more = ["--extra-body", '{"min_p": 0.1, "top_p": 0.5}', "--extra-query", '{"tier": "flex"}']
    more += ["--extra-headers", '{"api-key": "$AZURE_KEY"}']
    more += ["--chat-template-kwargs", '{"enable_thinking": false}']
    pairs = make_dataset(20)
    assert annotate(pairs, server, *more) == 0
    body = server.bodies[0]
    assert (body["min_p"], body["top_p"]) == (0.1, 0.5)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert {path.partition("?")[2] for path in server.paths} == {"api-version=2024-10&tier=flex"}
    assert {path.partition("?")[0] for path in server.paths} == {
        "/v1/models",
        "/v1/chat/completions",
    }
    assert server.headers[0]["api-key"] == "sk-hidden"
    provenance = json.loads((pairs.directory / f"preference/{NAME}.json").read_text())
    assert provenance["source"]["extra_body"] == {"min_p": 0.1, "top_p": 0.5}
    assert "hidden" not in json.dumps(provenance)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((429, error_body("You exceeded your current quota")), "You exceeded your current quota"),
        ((402, error_body("Insufficient credits")), "HTTP 402: Insufficient credits"),
        ((200, error_body("Provider returned error", code=502)), "502 Provider returned error"),
        ((200, error_body("No endpoints found", code=404)), "No endpoints found"),
        ((503, '{"message": "loading the model"}'), "HTTP 503: loading the model"),
        ((500, '{"detail": "CUDA out of memory"}'), "HTTP 500: CUDA out of memory"),
        ((422, '{"detail": [{"loc": ["n"], "msg": "bad"}]}'), "'msg': 'bad'"),
        ((401, error_body("Wrong team")), "it says: Wrong team"),
    ],
)
def test_the_server_s_own_reason_is_shown(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    answer: tuple[int, str],
    problem: str,
) -> None:
    server.by_body = lambda body: answer
    assert annotate(make_dataset(20), server) == 2
    said = capsys.readouterr().err
    assert problem in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_proxy_that_is_not_there_is_named(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    assert annotate(make_dataset(10), server) == 2
    said = capsys.readouterr().err
    assert "http_proxy=http://***@127.0.0.1:9; no_proxy=127.0.0.1 goes without the proxy" in said
    assert "secret" not in said
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert annotate(make_dataset(10), server) == 0


@pytest.mark.parametrize(
    ("name", "value", "scheme"),
    [
        ("all_proxy", "socks5://127.0.0.1:9", "http"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem", "https"),
    ],
)
def test_an_environment_that_makes_connections_impossible(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    scheme: str,
) -> None:
    monkeypatch.setenv(name, value)
    server.url = server.url.replace("http:", f"{scheme}:")
    assert annotate(make_dataset(10), server) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{name}={value}" in last


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--extra-body", "[1]"], "--extra-body must be a JSON object"),
        (["--extra-headers", "{x"], "--extra-headers is no JSON"),
        (["--chat-template-kwargs", "3"], "--chat-template-kwargs must be a JSON object"),
    ],
)
def test_flags_that_are_no_json(
    make_dataset: MakeDataset,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    assert annotate(make_dataset(10), server, *arguments) == 2
    assert problem in capsys.readouterr().err.splitlines()[-1]
