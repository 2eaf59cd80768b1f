"""What is asked, in which order, and what becomes of the answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_server import FakeServer

from motif.annotate.chat import ModelError
from motif.annotate.config import AnnotationConfig
from motif.errors import CheckpointError, ConfigError
from motif.online import labeller as module
from motif.online.labeller import Labeller
from motif.online.settings import OnlineSettings
from motif.reward.checkpoint import load_reward_model


def run(labeller, steps=100):
    for _ in range(steps):
        if not labeller.step():
            return
    raise AssertionError("it does not come to rest")


def test_the_newest_are_asked_first_and_each_once(make_labeller, meet, judge, monkeypatch):
    monkeypatch.setattr(module, "ROUND", 2)
    labeller = make_labeller()
    meet("a", "b", "c", "d")
    meet("e", "b")
    run(labeller)
    assert judge.asked == [("b", ""), ("e", ""), ("d", ""), ("c", ""), ("a", "")]
    meet("a", "e", "f", "f")
    run(labeller)
    assert judge.asked[5:] == [("f", "")]
    assert labeller.met[b"b"] == 2 and labeller.met[b"f"] == 2
    assert labeller.steps == 10


@pytest.mark.parametrize("kind", ["retrieval", "ranking"])
def test_after_a_kill_labels_and_counters_are_the_same_and_nothing_is_asked_again(
    kind, make_labeller, meet, judge, clock
):
    labeller = make_labeller(kind)
    meet("a", "bb", "ccc")
    run(labeller)
    clock.now += 60
    labeller.step()  # a version and a snapshot; then something more, and a kill
    meet("a", "dddd")
    labeller._take_in()
    asked, version = list(judge.asked), labeller.learner.version
    again = make_labeller(kind)
    assert again.labels.pairs == labeller.labels.pairs
    assert again.steps == 3 and again.learner.version == version
    run(again)
    assert again.learner.version > version  # with what came after the last one
    assert again.steps == 5 and again.met[b"a"] == 2
    assert not set(judge.asked[len(asked) :]) & set(asked)
    assert all("dddd" in pair for pair in judge.asked[len(asked) :][:1])


def test_counts_of_a_snapshot_whose_files_are_still_there_count_once(
    make_labeller, meet, monkeypatch
):
    labeller = make_labeller()
    meet("a", "b")

    def killed(folder, names):
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(module, "remove_files", killed)
        labeller.step()
    again = make_labeller()
    run(again)
    assert again.steps == 2 and again.met == {b"a": 1, b"b": 1}


def test_what_waits_is_asked_after_a_kill(make_labeller, meet, judge, clock):
    judge.trouble = ModelError("the server is away")
    labeller = make_labeller()
    meet("a", "b")
    labeller.step()
    clock.now += 60
    labeller.step()
    assert not judge.asked
    judge.trouble = None
    again = make_labeller()
    assert again.met == {b"a": 1, b"b": 1}
    run(again)
    assert judge.asked == [("b", ""), ("a", "")]


def test_an_unknown_answer_is_unknown(make_labeller, meet, judge, folder):
    labeller = make_labeller()
    meet("what?", "longer")
    run(labeller)
    assert labeller.labels.count == 1
    assert b"what?" not in labeller.labels.known
    loaded = load_reward_model(folder / "reward")
    known = [bytes(row).rstrip(b"\0") for row in loaded.train_messages]
    assert known == [b"longer", b""]
    meet("what?")
    run(labeller)
    assert len(judge.asked) == 2  # and not asked again


def test_a_ranking_compares_what_it_knows_on_until_there_are_enough(make_labeller, meet, judge):
    labeller = make_labeller("ranking")
    meet("a", "bb", "ccc", "dddd")
    run(labeller)
    asked = [frozenset(pair) for pair in judge.asked]
    assert len(asked) == len(set(asked)) <= 6  # that many there are
    assert {len(pair) for pair in asked} == {2}
    meet(*"efghijklmnopqrstuvwxyz")
    run(labeller)
    assert len(labeller.labels) == pytest.approx(module.PAIRS_OF_A_MESSAGE * 26, rel=0.2)
    longer_first = np.mean([len(first) > len(second) for first, second in judge.asked])
    assert 0.02 < longer_first < 0.5


def test_no_more_than_so_many_are_asked_about(make_labeller, meet, judge):
    labeller = make_labeller("ranking", most_labels=5)
    meet(*"abcdefghij")
    run(labeller)
    assert len(judge.asked) <= 5


def test_older_ones_that_wait_are_forgotten(make_labeller, meet, judge, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    judge.trouble = ModelError("away")
    labeller = make_labeller()
    meet(*"abcdef")
    labeller.step()
    assert list(labeller.waiting) == [b"d", b"e", b"f"]
    assert len(labeller.met) == 3


def test_a_judge_that_fails_is_asked_again_and_training_goes_on(
    make_labeller, meet, judge, clock, capsys
):
    labeller = make_labeller()
    meet("a")
    run(labeller)
    judge.trouble = ModelError("http://localhost:9/v1 has not answered for 30 s")
    meet("b")
    for _ in range(3):
        labeller.step()
        clock.now += module.RETRY + 1
    said = capsys.readouterr().err
    assert said.count("no labels for now: http://localhost:9/v1 has not answered") == 1
    assert "reward version 1" in said
    assert labeller.figures()["backlog"] == 1
    judge.trouble = None
    clock.now += module.RETRY + 1
    run(labeller)
    assert "there are labels again" in capsys.readouterr().err
    assert labeller.figures()["backlog"] == 0 and labeller.labels.count == 2


def test_a_full_disk_stops_nothing(make_labeller, meet, clock, monkeypatch, capsys):
    labeller = make_labeller()
    meet("a", "b")

    def full(*arguments):
        raise OSError(28, "No space left on device", "pairs.bin")

    with monkeypatch.context() as patched:
        patched.setattr(labeller.labels, "add", full)
        labeller.step()
    assert "No space left on device: pairs.bin; make room" in capsys.readouterr().err
    clock.now += module.RETRY + 1
    run(labeller)
    assert labeller.labels.count == 2
    with monkeypatch.context() as patched:
        patched.setattr(labeller.learner, "publish", full)
        meet("c")
        clock.now += 60
        run(labeller)
    assert labeller.learner.version == 1
    clock.now += 60
    labeller.step()
    assert labeller.learner.version == 2


def test_the_figures(make_labeller, meet, clock, folder):
    labeller = make_labeller()
    meet("a", "b", "a", "?")
    run(labeller)
    meet("a", "a", "a", "c")
    clock.now += 20
    run(labeller)
    figures = labeller.figures()
    assert figures["labels"] == 3 and figures["labels_per_second"] == 3 / 60
    assert figures["labelled_share"] == 3 / 8
    clock.now += 50
    assert labeller.figures()["labelled_share"] == 3 / 4  # of the last minute
    labeller.step()
    status = json.loads((folder / "status.json").read_text())
    assert status == labeller.figures()


def test_each_version_tells_what_the_commonest_messages_are_worth(
    make_labeller, meet, clock, folder
):
    labeller = make_labeller()
    meet("b", "b")
    run(labeller)
    meet("c", "c", "c", "")
    run(labeller)
    labeller.close()
    first, last = map(json.loads, (folder / "versions.jsonl").read_text().splitlines())
    assert first["messages"] == {"b": 1, "": 0} and first["steps"] == 2
    assert list(last["messages"])[:2] == ["c", "b"] and last["reward_version"] == 2


def test_labels_of_another_kind_or_judge_are_refused(make_labeller, judge):
    make_labeller("retrieval")
    for kind, source in (("ranking", judge.source), ("retrieval", {"type": "another"})):
        judge.source = source
        with pytest.raises(CheckpointError, match="holds labels for --online retrieval by another"):
            make_labeller(kind)


def test_a_judge_that_reads_more_than_messages_is_refused(make_labeller, judge):
    judge.keys = ("message", "blstats")
    with pytest.raises(ConfigError, match="reads message, blstats; --online has messages alone"):
        make_labeller()


def test_an_ensemble_is_refused_as_a_start(make_labeller, reward_folder, monkeypatch):
    loaded = load_reward_model(reward_folder)
    loaded.model.head.out_features = 5
    monkeypatch.setattr(module, "load_reward_model", lambda *arguments: loaded)
    with pytest.raises(CheckpointError, match="an ensemble of 5 heads"):
        make_labeller("ranking", reward_dir=str(reward_folder))


# A server, through stage 1's engine


@pytest.fixture
def server():
    fake = FakeServer()
    yield fake
    fake.close()


def served(folder, server, kind="retrieval", **flags):
    values = {"backend": "openai", "model": "tiny", "base_url": server.url, "server_patience": 0.5}
    annotation = AnnotationConfig(directory=folder / "dataset", **{**values, **flags})
    return Labeller(OnlineSettings(kind, folder, annotation, most_labels=99, seed=7))


MET = ("You kill the newt!", "It's a wall.", "$ - 12 gold pieces.", "You descend the stairs.")


def test_a_server_answers_each_question_once_even_after_a_kill(folder, server, meet):
    labeller = served(folder, server)
    labeller.open()
    meet(*MET)
    run(labeller)
    assert labeller.labels.count == 4 and len(server.bodies) == 4
    labeller.labels.path.unlink()  # killed after the answers came, before the labels were kept
    again = served(folder, server)
    meet(*MET)
    run(again)
    assert again.labels.count == 4 and len(server.bodies) == 4
    again.close()
    loaded = load_reward_model(folder / "reward")
    better = loaded.train_messages[loaded.train_rewards > 0]
    assert {bytes(row).rstrip(b"\0").decode() for row in better} == set(MET) - {"It's a wall."}
    labeller.close()


def test_the_model_stays_connected_between_rounds(folder, server, meet):
    labeller = served(folder, server, answer_mode="direct")
    labeller.open()
    for text in MET:
        meet(text)
        run(labeller)
    assert sum(path.endswith("/models") for path in server.paths) == 2  # at the start, and once
    assert labeller.labels.count == 4
    labeller.close()


def test_ratings_make_labels_too(folder, server, meet):
    def rate(body):
        good = "kill" in body["messages"][-1]["content"]
        top = [{"token": "good" if good else "bad", "logprob": -0.01, "bytes": None}]
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": top[0]["token"]}}
        choice["logprobs"] = {"content": [top[0] | {"top_logprobs": top}]}
        return 200, json.dumps({"choices": [choice]})

    server.by_body = rate
    labeller = served(folder, server, answer_mode="rating")
    labeller.open()
    for text in MET:
        meet(text)
        run(labeller)
    assert len(server.bodies) == 5  # no message is one, too
    assert {row: label for row, _, label in labeller.labels.pairs}[0] == 0  # the kill
    assert [label for *_, label in labeller.labels.pairs[1:]] == [2, 2, 2]
    labeller.close()


def test_a_server_that_is_down_at_the_start_is_waited_for_then_it_is_said(folder, server):
    server.close()
    labeller = served(folder, server)
    with pytest.raises(ModelError, match=r"has not answered for \d+ s \(no connection\)"):
        labeller.open()


def test_a_server_that_goes_down_later_is_missed_not_mourned(folder, server, meet, capsys):
    labeller = served(folder, server)
    labeller.open()
    meet(MET[0])
    run(labeller)
    server.fault = lambda number: (503, "{}")
    meet(*MET[1:])
    labeller.step()
    assert "no labels for now" in capsys.readouterr().err
    assert labeller.figures()["backlog"] == 3
    server.fault = lambda number: None
    labeller._again = 0
    run(labeller)
    assert labeller.labels.count == 4
    labeller.close()


def test_an_answer_that_does_not_parse_is_unknown(folder, server, meet):
    def mumble(body):
        completion = {"choices": [{"message": {"content": "Hm."}, "finish_reason": "stop"}]}
        return (200, json.dumps(completion)) if MET[2] in str(body) else None

    server.by_body = mumble
    labeller = served(folder, server)
    labeller.open()
    meet(*MET)
    run(labeller)
    assert len(labeller.labels) == 4 and labeller.labels.count == 3
    assert set(labeller.labels.messages) - set(labeller.labels.known) == {MET[2].encode()}
    labeller.close()
