"""The models of the repository load, are what their ``model.json`` says, and are good enough."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from motif.archive.unpack import open_archive
from motif.reward.checkpoint import load_reward_model
from motif.reward.held_out import EvaluationConfig
from scripts.evaluate_reward import evaluate_reward

MODELS = Path(__file__).resolve().parent.parent / "models"
ZIPPED = MODELS.parent / "motif_dataset_zipped"
SHIPPED = {
    path.parent.name: json.loads(path.read_text()) for path in sorted(MODELS.glob("*/model.json"))
}
REWARDS = [name for name, content in SHIPPED.items() if content["kind"] == "reward"]
POLICIES = [name for name, content in SHIPPED.items() if content["kind"] == "policy"]
MOST_BYTES = 34_000_000  # of all of them


@pytest.mark.parametrize("name", SHIPPED)
def test_its_files_are_those_of_its_model_file(name):
    files = {
        path.relative_to(MODELS / name).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in (MODELS / name).rglob("*")
        if path.is_file() and path.name != "model.json"
    }
    assert SHIPPED[name]["files"] == files


@pytest.fixture(scope="module")
def dataset_dir(tmp_path_factory):
    """Messages and labels of the shipped dataset; its screens are left in the archive."""
    folder = tmp_path_factory.mktemp("shipped")
    with open_archive(ZIPPED) as archive:
        needed = [name for name in archive.namelist() if "message" in name or "/rules_" in name]
        archive.extractall(folder, needed)
    return folder / "motif_dataset"


@pytest.mark.parametrize("name", REWARDS)
def test_a_reward_loads_and_agrees_with_its_labels(name, dataset_dir):
    loaded, stored = load_reward_model(MODELS / name), SHIPPED[name]["figures"]
    assert loaded.threshold(0.5) < loaded.threshold(0.95)
    config = EvaluationConfig(reward_dir=str(MODELS / name), dataset_dir=str(dataset_dir))
    figures = evaluate_reward(config)
    assert figures["accuracy"] >= 0.97
    assert figures["unseen_accuracy"] >= 0.85
    assert figures["judged_pairs"] == 200 and figures["judged_accuracy"] > 0.55
    for figure in ("accuracy", "unseen_accuracy", "spearman"):
        assert figures[figure] == pytest.approx(stored[figure], abs=2e-3)
    for end in ("best", "worst"):
        assert len(stored[end]) == 10
        assert figures[end][0][0] in [text for text, _ in stored[end]]


@pytest.mark.nle
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_loads(name):
    pytest.importorskip("sample_factory")
    from sample_factory_ext.player import CheckpointPlayer

    player = CheckpointPlayer(MODELS / name)
    assert player.env_steps == SHIPPED[name]["figures"]["env_steps"]
    if player.config.llm_reward:
        load_reward_model(MODELS.parent / player.config.reward_dir)


def test_they_are_small():
    files = [file for content in SHIPPED.values() for file in content["files"].values()]
    assert sum(file["bytes"] for file in files) <= MOST_BYTES


def test_the_readme_names_each():
    text = (MODELS / "README.md").read_text()
    assert all(name in text for name in SHIPPED)
