"""The models of the repository load, are what their ``model.json`` says, and are good enough."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from motif.reward.checkpoint import load_reward_model

MODELS = Path(__file__).resolve().parent.parent / "models"
SHIPPED = {
    path.parent.name: json.loads(path.read_text()) for path in sorted(MODELS.glob("*/model.json"))
}
REWARDS = [name for name, content in SHIPPED.items() if content["kind"] == "reward"]
POLICIES = [name for name, content in SHIPPED.items() if content["kind"] == "policy"]
MOST_BYTES = 20_000_000  # of all of them


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


@pytest.mark.parametrize("name", REWARDS)
def test_a_reward_loads_and_agrees_with_its_labels(name):
    loaded = load_reward_model(MODELS / name)
    best, worst = ([text for text, _ in SHIPPED[name]["figures"][end]] for end in ("best", "worst"))
    assert len(best) == len(worst) == 10
    assert loaded.threshold(0.5) < loaded.threshold(0.95)
    assert SHIPPED[name]["figures"]["accuracy"] >= 0.97
    assert SHIPPED[name]["figures"]["unseen_accuracy"] >= 0.85


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
