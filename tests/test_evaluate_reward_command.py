"""``scripts.evaluate_reward`` on a model that was trained on labels of the rules."""

from __future__ import annotations

import json
import re

import pytest
import torch
from small_dataset import TEXTS, write_dataset

from motif.annotate.rules import RulesAnnotator
from motif.messages import encode
from motif.reward.checkpoint import load_reward_model
from motif.reward.held_out import EvaluationConfig
from motif.reward.statistics import rank_correlation
from scripts import annotate_pairs_dataset, evaluate_reward, train_reward

RARE = [  # each in few pairs, of two values
    f"{text} {number}." for number in range(100) for text in ("You see here", "You kill the newt")
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folders of a reward run, and of its dataset with labels of the rules."""
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("evaluate")
    dataset = directory / "motif_dataset"
    write_dataset(dataset, 150, texts=[*TEXTS * 40, *RARE])
    line = f"--directory {dataset} --annotator-type rules --goal-key"
    for goal in ("combat", "gold"):
        assert annotate_pairs_dataset.main([*line.split(), goal]) == 0
    line = f"--dataset_dir {dataset} --annotator rules_msg_combat --train_dir {directory} "
    line += "--experiment run --batch_size 16 --num_epochs 8 --reward_lr 1e-3 --device cpu"
    assert train_reward.main([*line.split(), "--encoder_msg_model", "lt_cnn_small"]) == 0
    return directory / "run", dataset


def evaluate(run, *flags):
    folder, dataset = run
    return evaluate_reward.main(
        ["--reward_dir", str(folder), "--dataset_dir", str(dataset), *flags]
    )


def test_figures_as_a_table_and_as_json(run, tmp_path, capsys):
    assert evaluate(run, "--output", str(tmp_path / "figures.json"), "--most", "3") == 0
    shown = capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["annotator"] == figures["trained_on"] == "rules_msg_combat"
    assert figures["held_out_pairs"] == 30
    assert re.search(rf"with a preference +{figures['preference_pairs']} ", shown)
    assert f"accuracy {figures['accuracy']:.1%}" in shown
    assert 0 < figures["unseen_messages"] < figures["distinct_messages"]
    assert figures["best"][0][0].startswith("You kill the newt")
    assert [len(figures[name]) for name in ("best", "worst")] == [3, 3]
    rewards = [reward for name in ("best", "worst") for _, reward in figures[name]]
    assert rewards[:3] == sorted(rewards[:3], reverse=True)
    assert rewards[3:] == sorted(rewards[3:])
    assert f"{rewards[0]:+8.2f}  {figures['best'][0][0]}" in shown


def test_the_correlation_is_with_what_the_rules_say(run):
    folder, dataset = run
    config = EvaluationConfig(str(folder), str(dataset))
    figures = evaluate_reward.evaluate_reward(config)
    loaded = load_reward_model(folder)
    # the messages that occur, as far as this test knows: those of training and unseen ones
    texts = [text for text in TEXTS if text]
    rewards = loaded.score(torch.stack([torch.from_numpy(encode(t)) for t in texts]).numpy())
    values = [RulesAnnotator("combat").value(text) for text in texts]
    assert rank_correlation(rewards, values) > 0.5  # it learnt something
    assert -1 <= figures["unseen_spearman"] <= 1
    assert 0 < figures["spearman"] <= 1


def test_another_label_set(run, capsys):
    assert evaluate(run, "--annotator", "rules_msg_gold") == 0
    assert "trained on rules_msg_combat, compared with rules_msg_gold" in capsys.readouterr().out


def test_labels_of_others_are_not_correlated(run, capsys):
    provenance = run[1] / "preference/rules_msg_gold.json"
    content = json.loads(provenance.read_text())
    for source in ({"type": "llama"}, {**content["source"], "rules_sha256": "of another file"}):
        provenance.write_text(json.dumps({**content, "source": source}))
        assert evaluate(run, "--annotator", "rules_msg_gold") == 0
        assert capsys.readouterr().out.count("Spearman -\n") == 2
    provenance.write_text(json.dumps(content))


def test_the_device_is_that_of_the_model(run, monkeypatch, capsys):
    devices, load = [], evaluate_reward.load_reward_model

    def loading(folder, checkpoint_num, device):
        devices.append(str(device))
        return load(folder, checkpoint_num, "cpu")

    monkeypatch.setattr(evaluate_reward, "load_reward_model", loading)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("auto", "cpu", "gpu"):
        assert evaluate(run, "--device", name) == 0
    assert devices == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert evaluate(run, "--device", "gpu") == 2
    assert "--device gpu: torch sees no GPU here; use --device cpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--annotator", "nobody"], "no label set 'nobody'"),
        (["--reward_dir", "nowhere"], "no reward folder nowhere; train one"),
        (["--dataset_dir", "nowhere"], "no dataset in nowhere"),
        (["--checkpoint_num", "777"], "--checkpoint_num 777: .* has the iterations"),
        (["--most", "-1"], "--most -1: it must be 0 or more"),
    ],
)
def test_bad_input_ends_with_one_line(run, capsys, flags, message):
    try:
        status = evaluate(run, *flags)
    except SystemExit as stopped:  # argparse's own errors
        status = stopped.code
    error = capsys.readouterr().err
    assert status == 2
    assert re.search(message, error) and "Traceback" not in error
