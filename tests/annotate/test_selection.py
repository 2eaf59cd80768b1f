"""``--select``: which pairs a budget of labels goes to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scripted_chat import MANY_TEXTS, ScriptedChatModel
from small_dataset import TEXTS, write_dataset

from motif.annotate.chat import Reply
from motif.cli import EXIT_TERMINATED, Terminated
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import load_preferences
from motif.reward.checkpoint import load_reward_model
from motif.reward.config import RewardTrainingConfig
from motif.reward.training import train_reward
from motif.reward.training_data import load_training_data
from motif.reward.uncertain import pair_doubts
from scripts.annotate_pairs_dataset import main

MakeDataset = Callable[..., PairsDataset]
RULES = "rules_msg_defaultgoal"
LLM = "llama70b_msg_defaultgoal_default"


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: ``three`` heads and ``one``, both of few labels."""
    folder = tmp_path_factory.mktemp("ensembles")
    dataset = write_dataset(folder / "motif_dataset", 200, texts=[*TEXTS * 4, *MANY_TEXTS], seed=5)
    assert main([*command(dataset), *budget("uniform", 60)]) == 0
    config = RewardTrainingConfig(
        dataset_dir=str(dataset.directory),
        annotator=RULES,
        train_dir=str(folder),
        experiment="three",
        batch_size=16,
        reward_lr=1e-3,
        num_epochs=3,
        device="cpu",
        encoder_msg_model="lt_cnn_small",
        reward_ensemble=3,
    )
    assert train_reward(config) == 0
    for name, other in (("one", {"reward_ensemble": 1}), ("status", {"use_blstats": True})):
        assert train_reward(replace(config, experiment=name, num_epochs=1, **other)) == 0
    return folder


def command(pairs: PairsDataset, *flags: str) -> list[str]:
    return ["--directory", str(pairs.directory), "--annotator-type", "rules", *flags]


def budget(select: str, labels: int) -> list[str]:
    return ["--select", select, "--budget", str(labels)]


def uncertain(ensembles: Path, labels: int) -> list[str]:
    return [*budget("uncertain", labels), "--reward_dir", str(ensembles / "three")]


def labelled(pairs: PairsDataset, name: str = RULES) -> list[int]:
    return np.flatnonzero(load_preferences(pairs, name) != 3).tolist()


def test_uniform_pairs_are_drawn_by_seed_and_a_larger_budget_adds_to_them(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, whole, other = (make_dataset(200, name=name) for name in ("a", "b", "c"))
    assert main(command(pairs, *budget("uniform", 50))) == 0
    few = labelled(pairs)
    said = capsys.readouterr().out
    assert "uniform: 50 pairs beside 0 labelled ones\n" in said
    assert "pairs beyond 50 are asked by this command with a larger --budget" in said
    assert len(few) == 50 and max(few) > 150 and min(few) < 50
    assert main(command(pairs, *budget("uniform", 80))) == 0
    assert "uniform: 30 pairs beside 50 labelled ones\n" in capsys.readouterr().out
    assert main(command(whole)) == 0
    assert main(command(other, *budget("uniform", 80), "--select_seed", "1")) == 0
    more = labelled(pairs)
    assert len(more) == 80 and set(few) < set(more) != set(labelled(other))
    every = load_preferences(whole, RULES)
    assert np.array_equal(load_preferences(pairs, RULES)[more], every[more])
    data = load_training_data(pairs.directory, RULES, seed=0, soft_labels=False, use_blstats=False)
    assert len(data.train) == 64 and data.pairs_N.tolist() == more
    assert main(command(pairs, *budget("uniform", 20))) == 0  # nothing is lost
    assert labelled(pairs) == more


def test_doubt_is_how_far_the_heads_differ(ensembles: Path, make_dataset: MakeDataset) -> None:
    pairs = make_dataset(40, seq_len=2, texts=MANY_TEXTS)
    messages = np.array(pairs.messages)
    messages[30] = messages[7, ::-1]
    np.save(pairs.path("message"), messages)
    doubts = pair_doubts(ensembles / "three", PairsDataset(pairs.directory))
    reward = load_reward_model(ensembles / "three")
    for pair, messages_PTC in enumerate(messages):
        first, second = (reward.heads(side).mean(0) for side in messages_PTC)
        doubt = (1 / (1 + torch.exp(second - first))).std(correction=0).item()
        assert doubts[pair] == (0 if pair == 30 else pytest.approx(doubt, abs=1e-6))
    assert doubts[7] > 0  # the same couple, and the first
    assert doubts.min() >= 0 and 0.001 < doubts.max() <= 0.5


def test_the_pairs_that_heads_disagree_on_most_are_asked_first(
    ensembles: Path,
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = make_dataset(200, texts=MANY_TEXTS)
    llm = ["--directory", str(pairs.directory), "--no-dedupe"]
    assert main([*llm, *budget("uniform", 30)]) == 0
    known, asked = labelled(pairs, LLM), len(scripted_model.asked)
    assert main([*llm, *uncertain(ensembles, 70), "--estimate", "--rate", "1"]) == 0
    assert "pairs to label: 40," in capsys.readouterr().out
    assert main([*llm, *uncertain(ensembles, 70)]) == 0
    doubts = pair_doubts(ensembles / "three", pairs)
    unknown = np.setdiff1d(np.arange(200), known)
    most = unknown[np.argsort(-doubts[unknown], kind="stable")[:40]]
    assert labelled(pairs, LLM) == sorted([*known, *most.tolist()])
    assert f"doubts {doubts[most[0]]:.3f} to {doubts[most[-1]]:.3f}" in capsys.readouterr().out
    assert doubts[most].mean() > 1.5 * doubts[unknown].mean()
    new = len(scripted_model.asked) - asked
    assert 0 < new <= 40
    assert main([*llm, *uncertain(ensembles, 70)]) == 0
    assert len(scripted_model.asked) == asked + new


def test_a_stopped_run_goes_on_with_the_same_pairs(
    ensembles: Path,
    make_dataset: MakeDataset,
    scripted_model: ScriptedChatModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, parts = (make_dataset(200, texts=MANY_TEXTS, name=name) for name in ("a", "b"))
    flags = [*uncertain(ensembles, 60), "--batch-size", "5"]
    assert main(["--directory", str(whole.directory), *flags]) == 0
    collect, calls = scripted_model.collect, []

    def stopping() -> list[Reply]:
        calls.append(collect())
        if len(calls) == 4:
            raise Terminated
        return calls[-1]

    monkeypatch.setattr(scripted_model, "collect", stopping)
    assert main(["--directory", str(parts.directory), *flags]) == EXIT_TERMINATED
    scripted_model.queue.clear()
    assert main(["--directory", str(parts.directory), *flags]) == 0
    assert len(calls) > 6
    assert labelled(parts, LLM) == labelled(whole, LLM)


def test_chunks_share_one_budget(ensembles: Path, make_dataset: MakeDataset) -> None:
    whole, parts = (make_dataset(100, texts=MANY_TEXTS, name=name) for name in ("a", "b"))
    for flags in (budget("uniform", 20), uncertain(ensembles, 50)):
        assert main(command(whole, *flags)) == 0
        for chunk in ("2", "0", "1"):
            flags += ["--n-annotation-chunks", "3", "--chunk-number", chunk]
            assert main(command(parts, *flags)) == 0
        assert labelled(parts) == labelled(whole)
    assert len(labelled(whole)) == 50


def test_the_budget_is_of_the_first_pairs_if_they_are_named(make_dataset: MakeDataset) -> None:
    pairs = make_dataset(100)
    assert main(command(pairs, *budget("uniform", 20), "--first", "30")) == 0
    assert len(labelled(pairs)) == 20 and max(labelled(pairs)) < 30


def test_ignoring_labels_frees_their_budget(make_dataset: MakeDataset) -> None:
    pairs = make_dataset(100)
    assert main(command(pairs, "--first", "40")) == 0
    assert main(command(pairs, *budget("uniform", 30), "--ignore-existing")) == 0
    assert len(labelled(pairs)) == 30 and max(labelled(pairs)) > 40


@pytest.mark.parametrize(
    "line, message",
    [
        ("--select uniform --budget 0", "--budget must be at least 1, but is 0"),
        ("--select uniform --budget -5", "--budget must be at least 1, but is -5"),
        ("--select uniform --budget 101", "--budget 101: there are 100 pairs; name at most"),
        ("--select uniform --budget 41 --first 40", "--budget 41: there are 40 pairs"),
        ("--select uniform", "--select uniform: how many labels"),
        ("--budget 50", "--budget 50: chosen how"),
        ("--select best --budget 50", "invalid choice: 'best'"),
        ("--select uniform --budget 50 --select_seed -1", "--select_seed must be at least 0"),
        (
            "--select uncertain --budget 50",
            "--select uncertain asks the heads .* --reward_dir; train one: .*--reward_ensemble 5",
        ),
        ("--select uniform --budget 50 --reward_dir {}/three", "--select uncertain asks the"),
        ("--select uncertain --budget 50 --reward_dir nowhere", "no reward folder nowhere; train"),
        (
            "--select uncertain --budget 50 --reward_dir {}/one",
            r"checkpoint_\d+.pth has one head, which .* train several: .*--reward_ensemble 5",
        ),
        (
            "--select uncertain --budget 50 --reward_dir {}/status",
            r"checkpoint_\d+.pth reads the status line .* without --use_blstats",
        ),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    ensembles: Path,
    make_dataset: MakeDataset,
    capsys: pytest.CaptureFixture[str],
    line: str,
    message: str,
) -> None:
    pairs = make_dataset(100)
    assert main(command(pairs, "--first", "20")) == 0
    folder = pairs.directory / "preference"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    capsys.readouterr()
    try:
        status = main(command(pairs, *line.format(ensembles).split(), "--ignore-existing"))
    except SystemExit as stopped:  # argparse's own errors
        status = int(str(stopped.code))
    error = capsys.readouterr().err
    assert status == 2
    assert re.search(message, error) and "Traceback" not in error
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
