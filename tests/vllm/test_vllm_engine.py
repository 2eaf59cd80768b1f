"""The whole of stage 1 with real vLLM: in this process, and behind its server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motif.annotate.chat import Message, ModelError, Request, Sampling
from motif.annotate.refusals import is_too_long
from motif.annotate.rules import RulesAnnotator
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference
from scripts.annotate_pairs_dataset import main
from scripts.train_reward import main as train_reward

MakePairs = Callable[..., PairsDataset]
PAIRS = 300
DIRECT = ("--answer-mode", "direct")


def run_command(pairs: PairsDataset, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as users run it."""
    line = [sys.executable, "-m", "scripts.annotate_pairs_dataset"]
    line += ["--directory", str(pairs.directory), *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=900)


def labels(pairs: PairsDataset, name: str) -> np.ndarray[Any, Any]:
    return np.load(pairs.directory / "preference" / f"{name}.npy")


def agreement_with_rules(pairs: PairsDataset, found: np.ndarray[Any, Any]) -> float:
    """Share of the pairs on which the rules have a preference that got the same label."""
    rules = np.full(len(pairs), -1)
    for answers in RulesAnnotator("defaultgoal").annotate(pairs, np.arange(len(pairs))):
        rules[answers.indices] = answers.labels
    preferred = rules != Preference.TIE
    return float((found[preferred] == rules[preferred]).mean())


def test_in_process(
    make_pairs: MakePairs, tiny_model: Path, in_process: list[str], tmp_path: Path
) -> None:
    pairs = make_pairs(PAIRS)
    logdir = tmp_path / "log"
    result = run_command(pairs, *in_process, "--logdir", str(logdir))
    assert result.returncode == 0, result.stderr
    found = labels(pairs, f"{tiny_model.name}_msg_defaultgoal_default")
    assert (found != Preference.UNKNOWN).mean() >= 0.9
    assert agreement_with_rules(pairs, found) >= 0.7
    assert "next: python -m scripts.train_reward" in result.stdout
    texts = [path.read_text() for path in logdir.glob("*.txt")]
    answers = [text.count("--- assistant ---") for text in texts if text.startswith("--- system")]
    assert min(answers) >= 1
    print(f"{answers.count(1)} of {len(answers)} first answers parse")
    assert answers.count(1) / len(answers) >= 0.9  # the others were asked a second time


def test_direct_in_process_then_soft_targets_and_once_more_from_the_cache(
    make_pairs: MakePairs, tiny_model: Path, in_process: list[str], tmp_path: Path
) -> None:
    pairs = make_pairs(PAIRS)
    result = run_command(pairs, *in_process, *DIRECT)
    assert result.returncode == 0, result.stderr
    name = f"{tiny_model.name}_msg_defaultgoal_default_direct"
    found, probabilities = labels(pairs, name), labels(pairs, f"{name}.probs")
    assert (found != Preference.UNKNOWN).mean() >= 0.9
    assert agreement_with_rules(pairs, found) >= 0.7
    assert np.nansum(probabilities[:, :3], axis=1) == pytest.approx(np.ones(PAIRS), abs=1e-3)
    again = run_command(pairs, *in_process, *DIRECT, "--custom-annotator-string", "again")
    assert again.returncode == 0, again.stderr
    assert "EngineCore" not in again.stdout + again.stderr  # no model was loaded
    assert np.array_equal(labels(pairs, "again"), found)
    line = f"--dataset_dir {pairs.directory} --annotator {name} --soft_labels True --num_epochs 3"
    line += f" --train_dir {tmp_path} --experiment soft --batch_size 32 --reward_lr 1e-3"
    assert train_reward(line.split()) == 0
    metrics = (tmp_path / "soft/train_metrics.csv").read_text().splitlines()
    losses = [float(row.split(",")[1]) for row in metrics[1:]]
    assert losses[-1] < losses[0]


def test_over_http_with_a_server_killed_in_the_middle(make_pairs: MakePairs, server: Any) -> None:
    pairs = make_pairs(PAIRS, seed=2)
    line = ["--directory", str(pairs.directory), "--backend", "openai", "--model", "tiny"]
    line += ["--base-url", server.url, "--num-workers", "32"]
    part = pairs.directory / "preference/tiny_msg_defaultgoal_default.parts/chunk-0-of-1.npy"

    def kill_and_restart() -> None:
        while not part.is_file() or (np.load(part) != Preference.UNKNOWN).sum() < PAIRS // 3:
            time.sleep(0.05)
        server.kill()
        server.start()

    thread = threading.Thread(target=kill_and_restart)
    thread.start()
    assert main([*line, "--server-patience", "600"]) == 0
    thread.join()
    found = labels(pairs, "tiny_msg_defaultgoal_default")
    assert (found != Preference.UNKNOWN).mean() >= 0.9
    assert agreement_with_rules(pairs, found) >= 0.7


def test_sigterm_keeps_what_is_labelled(make_pairs: MakePairs, server: Any) -> None:
    server.wait()
    pairs = make_pairs(2000, seed=4)
    command = [sys.executable, "-m", "scripts.annotate_pairs_dataset", "--num-workers", "8"]
    command += ["--directory", str(pairs.directory), "--backend", "openai"]
    command += ["--model", "tiny", "--base-url", server.url]
    part = pairs.directory / "preference/tiny_msg_defaultgoal_default.parts/chunk-0-of-1.npy"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not part.is_file() or (np.load(part) != Preference.UNKNOWN).sum() < 50:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert "the same command goes on from here" in process.communicate(timeout=60)[1]
    assert process.returncode == 143
    assert (np.load(part) != Preference.UNKNOWN).sum() >= 50


def without_template(model: Path) -> None:
    (model / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "arguments", "problem", "advice"),
    [
        (None, ["--model", "nobody/nothing"], "cannot load 'nobody/nothing'", "rules"),
        (without_weights, [], "cannot load", "--annotator-type rules"),
        (without_template, [], "has no chat template, so it is no chat model", "instruct"),
        (None, ["--num-gpus", "8"], "--num-gpus 8, but this vLLM runs on the CPU", "--num-gpus 1"),
        (None, ["--engine-args", '{"nonsense": 1}'], "cannot load", "--annotator-type rules"),
        (None, ["--max-model-len", "100"], "the model did not answer", "raise --max-model-len"),
    ],
)
def test_models_that_cannot_be_used(
    make_pairs: MakePairs,
    tiny_model: Path,
    in_process: list[str],
    tmp_path: Path,
    spoil: Callable[[Path], None] | None,
    arguments: list[str],
    problem: str,
    advice: str,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    if spoil is not None:
        spoil(model)
    result = run_command(make_pairs(5), *in_process, "--model", str(model), *arguments)
    assert result.returncode == 2
    lines = result.stderr.splitlines()  # a slow machine's engine may warn of its end after it
    (said,) = (line for line in lines if line.startswith("error: "))
    assert problem in said
    assert advice in said


def test_prompts_that_the_model_cannot_take(tiny_model: Path, tmp_path: Path) -> None:
    """Too long, and a role that the template refuses; the engine goes on."""
    from transformers import AutoTokenizer

    from motif.annotate.engine_vllm import VLLMChatModel

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}" + tokenizer.chat_template
    )
    tokenizer.save_pretrained(folder)
    model = VLLMChatModel(
        str(folder),
        Sampling(max_new_tokens=8),
        dtype="float32",
        max_model_len=128,
        engine_args={"enforce_eager": True},
    )
    short = [Message(role="user", content="Hello")]
    model.submit([Request(7, short)])
    (reply,) = model.collect()
    assert (reply.tag, reply.new_tokens) == (7, 8)
    assert model.max_model_len == 128
    model.submit([Request(8, [Message(role="user", content="newt " * 500)])])
    (reply,) = model.collect()
    assert reply.tag == 8 and is_too_long(reply.refused)
    with pytest.raises(ModelError, match="--system-prompt False"):
        model.submit([Request(9, [Message(role="system", content="Judge."), *short])])
    model.submit([Request(10, short)])
    assert [reply.tag for reply in model.collect()] == [10]
    model.close()
