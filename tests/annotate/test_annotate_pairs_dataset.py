"""The command of stage 1, end to end, with a scripted model where one is needed."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scripted_chat import MANY_TEXTS, ScriptedChatModel, prefer

from motif.annotate.captions import captioned_pairs
from motif.annotate.chat import ModelError, Reply, Request
from motif.cli import EXIT_TERMINATED, Terminated
from motif.games.nethack.adapter import NetHack
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import load_preferences
from motif.reward.training_data import load_training_data
from scripts.annotate_pairs_dataset import main
from scripts.compare_annotators import main as compare

MakeDataset = Callable[..., PairsDataset]
NAME = "llama70b_msg_defaultgoal_default"


def labels(pairs: PairsDataset, name: str = NAME) -> np.ndarray:
    return np.load(pairs.directory / "preference" / f"{name}.npy")


def command(pairs: PairsDataset, *arguments: str) -> list[str]:
    return ["--directory", str(pairs.directory), *arguments]


@pytest.mark.parametrize("kind", ["rules", "score", "return"])
def test_annotators_without_a_language_model(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    pairs = make_dataset(50)
    assert main(command(pairs, "--annotator-type", kind)) == 0
    name = "rules_msg_defaultgoal" if kind == "rules" else kind
    found = load_preferences(pairs, name)
    assert not (found == 3).any()
    said = capsys.readouterr().out
    assert f"first {(found == 0).sum()}, second {(found == 1).sum()}" in said
    assert str(pairs.directory / "preference" / f"{name}.npy") in said
    assert f"python -m scripts.train_reward --dataset_dir {pairs.directory}" in said


def test_the_documented_line(make_dataset: MakeDataset, scripted_model: ScriptedChatModel) -> None:
    pairs = make_dataset(50)
    line = (
        "--prompt-version default --goal-key defaultgoal "
        "--n-annotation-chunks 1 --chunk-number 0 --llm-size 70 --num-gpus 8"
    )
    assert main(command(pairs, *line.split())) == 0
    provenance = json.loads((pairs.directory / f"preference/{NAME}.json").read_text())
    source = provenance["source"]
    assert source["model"]["name"] == "meta-llama/Llama-2-70b-chat-hf"
    assert source["prompt"]["system_prompt"] is True
    assert source["sampling"] == {
        "temperature": 0.1,
        "top_p": 0.95,
        "top_k": 50,
        "max_new_tokens": 4096,
        "seed": None,
    }
    assert not (labels(pairs) == 3).any()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_chunks_in_any_order_make_the_same_file(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
    order: tuple[int, ...],
) -> None:
    whole, parts = make_dataset(50, name="whole"), make_dataset(50, name="parts")
    assert main(command(whole)) == 0
    capsys.readouterr()
    for place, chunk in enumerate(order):
        split = ["--n-annotation-chunks", "3", "--chunk-number", str(chunk)]
        assert main(command(parts, *split)) == 0
        missing = sorted(set(order) - set(order[: place + 1]))
        said = capsys.readouterr().out
        if missing:
            assert f"still missing: chunk {', '.join(map(str, missing))};" in said
    assert (labels(whole) == labels(parts)).all()


def test_direct_answers_keep_probabilities(
    make_dataset: MakeDataset, scripted_model: ScriptedChatModel
) -> None:
    pairs = make_dataset(50)
    assert main(command(pairs, "--answer-mode", "direct")) == 0
    probabilities = labels(pairs, f"{NAME}_direct.probs")
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (50, 4))
    assert probabilities[:, :3].sum(axis=1) == pytest.approx(np.ones(50))


def test_unknown_direct_answers_are_kept_and_the_way_out_is_named_and_works(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs, direct = make_dataset(30), ("--answer-mode", "direct")
    answer = scripted_model.answer

    def unsure(request: Request) -> Reply:
        reply = answer(request)
        less = [(text, log + math.log(0.25)) for text, log in reply.first_token]
        return dataclasses.replace(reply, first_token=less)

    scripted_model.answer = unsure  # type: ignore[method-assign]
    assert main(command(pairs, *direct)) == 0
    said = capsys.readouterr()
    assert "less than --min-mass 0.5" in said.out and "typically 0.25" in said.out
    assert "asked again" not in said.out
    assert re.search(r"[1-9]\d* tokens/s read, [\d,]+ written", said.err)
    unknown = int((labels(pairs, f"{NAME}_direct") == 3).sum())
    asked = len(scripted_model.asked)
    assert main(command(pairs, *direct)) == 0
    assert "less than --min-mass 0.5" in capsys.readouterr().out
    assert int((labels(pairs, f"{NAME}_direct") == 3).sum()) == unknown > 0
    assert main(command(pairs, *direct, "--min-mass", "0.2", "--reparse", "True")) == 0
    assert not (labels(pairs, f"{NAME}_direct") == 3).any()
    assert len(scripted_model.asked) == asked


def test_unknown_pairs_are_asked_again(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = make_dataset(30)
    scripted_model.script = scripted_model.retry_script = lambda first, second: "?"
    assert main(command(pairs)) == 0
    assert "unknown pairs are asked again by the same command" in capsys.readouterr().out
    unknown = int((labels(pairs) == 3).sum())
    assert unknown > 0
    scripted_model.script = lambda first, second: '("best_description": 1)'
    assert main(command(pairs)) == 0
    assert (labels(pairs) == 0).sum() == unknown


def test_another_source_is_refused_under_the_same_name(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = make_dataset(10)
    assert main(command(pairs)) == 0
    assert main(command(pairs, "--system-prompt", "False")) == 2
    assert "was made by another source" in capsys.readouterr().err
    assert main(command(pairs, "--system-prompt", "False", "--ignore-existing")) == 0


@pytest.mark.parametrize(("mode", "read"), [("chain_of_thought", True), ("direct", False)])
def test_free_answers_from_before_the_prefill_was_mended_are_read(
    make_dataset: MakeDataset, scripted_model: ScriptedChatModel, mode: str, read: bool
) -> None:
    pairs = make_dataset(20)
    line = command(pairs, "--answer-mode", mode)
    assert main(line) == 0
    asked = len(scripted_model.asked)
    (folder,) = (pairs.directory / "preference/answers").iterdir()
    earlier = {"chain_of_thought": "1a29e9dd00ef03da", "direct": "374bd980bf782938"}[mode]
    folder.rename(folder.with_name(earlier))
    assert main([*line, "--custom-annotator-string", "again"]) == 0
    assert len(scripted_model.asked) == (asked if read else 2 * asked)


def test_reparse_repairs_labels_with_the_user_s_own_pattern(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    pairs = make_dataset(40)
    scripted_model.script = lambda first, second: f"xyzzy {prefer(first, second)}. Best: 2!"
    text = (NetHack.prompts / "default.yaml").read_text()
    pattern = text[text.index("answer_pattern:") : text.index("direct_prefill:")]
    text = text.replace("direct_prefill: '(\"best_description\": '", "direct_prefill: 'best: '")
    (tmp_path / "mine.yaml").write_text(
        text.replace(pattern, "answer_pattern: 'best: (1|2|none)'\n")
    )
    line = [*command(pairs, "--prompt-file", str(tmp_path / "mine.yaml"))]
    line += ["--custom-annotator-string", "mine"]
    assert main(line) == 0
    asked = len(scripted_model.asked)
    wrong = labels(pairs, "mine")
    assert set(wrong) == {1, 2}
    better = "answer_pattern: '(?:xyzzy|best:) (1|2|none)(?=[.]|$|[^!])'\n"
    (tmp_path / "mine.yaml").write_text(text.replace(pattern, better))
    assert main(line) == 2  # another source
    capsys.readouterr()
    assert main([*line, "--reparse"]) == 0
    assert len(scripted_model.asked) == asked
    right = labels(pairs, "mine")
    said = capsys.readouterr().out
    assert f"labels that changed: {(right != wrong).sum()}\n" in said
    assert f"  second → first: {((wrong == 1) & (right == 0)).sum()}\n" in said
    assert main(command(pairs)) == 0  # the model's answers are the same whatever is looked for
    assert main([*line]) == 0


def test_reparse_reads_probabilities_under_other_bounds(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs, direct, name = make_dataset(50), ["--answer-mode", "direct"], f"{NAME}_direct"
    assert main(command(pairs, *direct)) == 0
    before, probabilities = labels(pairs, name), labels(pairs, f"{name}.probs")
    asked = len(scripted_model.asked)
    assert main(command(pairs, *direct, "--reparse", "--tie-margin", "0.9")) == 0
    after = labels(pairs, name)
    assert len(scripted_model.asked) == asked
    assert set(before) == {0, 1, 2}
    assert set(after) == {2}  # the sides differ by 0.8 at most
    np.testing.assert_array_equal(labels(pairs, f"{name}.probs"), probabilities)
    assert f"labels that changed: {(before != 2).sum()}\n" in capsys.readouterr().out
    provenance = json.loads((pairs.directory / f"preference/{name}.json").read_text())
    assert provenance["source"]["tie_margin"] == 0.9
    assert main(command(pairs, *direct, "--reparse")) == 0
    assert np.array_equal(labels(pairs, name), before)


def test_reparse_is_for_language_models(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(make_dataset(5), "--reparse", "--annotator-type", "rules")) == 2
    assert "--reparse is for the answers of language models" in capsys.readouterr().err


def test_the_first_pairs_are_a_label_set_that_later_runs_go_on_with(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = make_dataset(200, texts=MANY_TEXTS)
    assert main(command(pairs, "--first", "120")) == 0
    found = load_preferences(pairs, NAME)
    assert (found[:120] != 3).all() and (found[120:] == 3).all()
    assert "pairs after the first 120 are asked by this command without --first" in (
        capsys.readouterr().out
    )
    assert compare([*command(pairs), NAME]) == 0
    assert f"{NAME}  " in capsys.readouterr().out
    data = load_training_data(pairs.directory, NAME, seed=0, soft_labels=False, use_blstats=False)
    assert len(data.train) == 96
    asked = len(scripted_model.asked)
    assert main(command(pairs, "--first", "50", "--estimate", "--rate", "1")) == 0
    assert "pairs to label: 0," in capsys.readouterr().out
    assert main(command(pairs, "--first", "50")) == 0  # nothing is lost, nothing asked
    assert (load_preferences(pairs, NAME) == found).all()
    assert len(scripted_model.asked) == asked
    assert main(command(pairs)) == 0
    whole = load_preferences(pairs, NAME)
    assert (whole != 3).all() and (whole[:120] == found[:120]).all()


def test_the_first_pairs_in_chunks(make_dataset: MakeDataset) -> None:
    pairs = make_dataset(100)
    rules = ["--annotator-type", "rules", "--first", "40", "--n-annotation-chunks", "4"]
    for chunk in range(4):
        assert main(command(pairs, *rules, "--chunk-number", str(chunk))) == 0
    found = load_preferences(pairs, "rules_msg_defaultgoal")
    assert (found[:40] != 3).all() and (found[40:] == 3).all()


def test_ignore_existing_asks_anew(
    make_dataset: MakeDataset, scripted_model: ScriptedChatModel
) -> None:
    pairs = make_dataset(30)
    main(command(pairs))
    asked = len(scripted_model.asked)
    main(command(pairs, "--ignore-existing"))
    assert len(scripted_model.asked) == 2 * asked


def test_a_shared_cache_serves_another_dataset(
    make_dataset: MakeDataset, scripted_model: ScriptedChatModel, tmp_path: Path
) -> None:
    cache = ["--cache-dir", str(tmp_path / "answers")]
    main(command(make_dataset(300, name="one"), *cache))
    asked = len(scripted_model.asked)
    again = make_dataset(300, name="two", seed=1)
    main(command(again, *cache))
    assert len(scripted_model.asked) - asked < 0.2 * asked
    main(command(again, *cache, "--goal-key", "gold"))  # another prompt: other answers
    assert len(scripted_model.asked) > 1.5 * asked


@pytest.mark.parametrize("stop", [ModelError("gone"), Terminated(), KeyboardInterrupt()])
def test_interrupted_and_resumed_equals_uninterrupted(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
) -> None:
    whole = make_dataset(60, name="whole", texts=MANY_TEXTS)
    pairs = make_dataset(60, name="stopped", texts=MANY_TEXTS)
    assert main(command(whole)) == 0
    collect = scripted_model.collect
    calls = 0

    def failing() -> list[Reply]:
        nonlocal calls
        calls += 1
        if calls % 4 == 0:
            raise stop
        return collect()

    monkeypatch.setattr(scripted_model, "collect", failing)
    window = ["--batch-size", "5"]
    statuses = []
    while not statuses or (statuses[-1] and len(statuses) < 10):
        scripted_model.queue.clear()
        statuses.append(main(command(pairs, *window)))
    expected = {ModelError: 2, Terminated: EXIT_TERMINATED, KeyboardInterrupt: 130}[type(stop)]
    assert statuses == [expected] * (len(statuses) - 1) + [0]
    assert len(statuses) > 2
    assert (labels(whole) == labels(pairs)).all()


def test_show_prompt_asks_nobody(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = make_dataset(10)
    assert main(command(pairs, "--show-prompt", "3")) == 0
    said = capsys.readouterr().out
    assert said.startswith("--- system ---")
    assert '"description_2"' in said
    assert not (pairs.directory / "preference").exists()
    assert main(command(pairs, "--show-prompt", "10")) == 2
    assert "--show-prompt 10: the pairs are 0 to 9" in capsys.readouterr().err


def test_estimate_with_a_given_rate_needs_no_model(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = make_dataset(300)
    line = ["--estimate", "--rate", "0.5", "--num-gpus", "8"]
    assert main(command(pairs, *line)) == 0
    said = capsys.readouterr().out
    differing = {c[1:] for c in captioned_pairs(pairs, np.arange(300)) if c.first != c.second}
    hours = len(differing) / 0.5 / 3600
    assert f"prompts to ask, each once: {len(differing)}" in said
    assert f"{hours:.2f} hours, {8 * hours:.2f} GPU-hours on 8 GPUs" in said


def test_the_price_of_a_batch_has_bounds(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--estimate --backend batch --price-in 0.5 --price-out 2 --max-new-tokens 1000000"
    assert main(command(make_dataset(300), *line.split())) == 0
    said = capsys.readouterr().out
    prompts = int(re.findall(r"each once: (\d+)", said)[0])
    tokens = int(re.findall(r"tokens: about ([\d,]+)", said)[0].replace(",", ""))
    asked = tokens * 0.5e-6
    assert f"price: {asked:.2f} for the prompts, {asked + 2 * prompts:.2f} with answers" in said


def test_estimate_counts_what_is_left(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = make_dataset(300, texts=MANY_TEXTS)
    chunk = ["--n-annotation-chunks", "2", "--chunk-number"]
    assert main(command(pairs, *chunk, "0")) == 0
    asked = len(scripted_model.asked)
    capsys.readouterr()
    assert main(command(pairs, *chunk, "0", "--estimate", "--rate", "1")) == 0
    said = capsys.readouterr().out
    assert "prompts to ask, each once: 0\n" in said and "answered before (cache)" in said
    assert main(command(pairs, *chunk, "1", "--estimate", "--rate", "1")) == 0
    assert "prompts to ask, each once: 0\n" not in capsys.readouterr().out
    assert len(scripted_model.asked) == asked


def test_estimate_from_a_trial(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = make_dataset(300, texts=MANY_TEXTS)
    assert main(command(pairs, "--estimate", "--price-in", "1000", "--price-out", "4000")) == 0
    said = capsys.readouterr().out
    assert "(10 + 5 a prompt in the trial)" in said
    prompts = int(re.findall(r"each once: (\d+)", said)[0])
    assert f"price: {prompts * 0.03:.2f} ({prompts * 0.01:.2f} + {prompts * 0.02:.2f})" in said
    assert len(scripted_model.asked) == 65
    assert not (pairs.directory / "preference").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--prompt-version old", "no prompt version 'old'; there are: default, reworded, short"),
        ("--goal-key fame", "no goal 'fame'"),
        ("--prompt-file nowhere.yaml", "cannot read the prompt file nowhere.yaml"),
        ("--engine-args [1]", "--engine-args must be a JSON object"),
        ("--engine-args {x", "--engine-args is no JSON"),
        ("--annotator-type rules --estimate", "--estimate is for language models"),
        ("", "vllm cannot be imported"),
    ],
)
def test_bad_input_is_one_line(
    make_dataset: MakeDataset,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    problem: str,
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)  # as if it were not installed
    assert main(command(make_dataset(10), *arguments.split())) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert problem in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--estimate --price-in -1", "--price_in must be at least 0, but is -1.0"),
        ("--estimate --rate 0", "--rate must be above 0, but is 0.0"),
        ("--timeout -1", "--timeout must be above 0"),
        ("--tie-margin -0.1", "--tie_margin must be at least 0"),
        ("--custom-annotator-string a\x1b[2Jb", "cannot be the name of a label set"),
        ("--chunk-number 2 --n-annotation-chunks 2", "--chunk_number must be 0 to 1, but is 2"),
    ],
)
def test_a_flag_that_cannot_work(
    capsys: pytest.CaptureFixture[str], arguments: str, problem: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert problem in said.splitlines()[-1]
    assert "\x1b" not in said


def test_no_dataset(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--directory", str(tmp_path / "nowhere"), "--annotator-type", "rules"]) == 2
    assert "no dataset in" in capsys.readouterr().err


@pytest.mark.parametrize("failure", ["read-only", "full"])
def test_a_disk_that_takes_nothing(
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    number = errno.EROFS if failure == "read-only" else errno.ENOSPC
    pairs = make_dataset(60, texts=MANY_TEXTS)
    main(command(pairs, "--n-annotation-chunks", "2", "--chunk-number", "1"))
    part = pairs.directory / f"preference/{NAME}.parts/chunk-1-of-2.npy"
    kept = np.load(part).copy()

    def refuse(self: object) -> None:
        raise OSError(number, "no way", "answers.jsonl")

    monkeypatch.setattr("motif.annotate.cache.AnswerCache.flush", refuse)
    assert main(command(pairs, "--n-annotation-chunks", "2", "--chunk-number", "0")) == 2
    assert "error: no way: answers.jsonl" in capsys.readouterr().err
    assert (np.load(part) == kept).all()
