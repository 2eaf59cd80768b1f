"""Fixtures of the annotation tests."""

from __future__ import annotations

import pytest
from scripted_chat import ScriptedChatModel


@pytest.fixture
def scripted_model(monkeypatch: pytest.MonkeyPatch) -> ScriptedChatModel:
    """The model that every annotation command of the test gets."""
    model = ScriptedChatModel()
    monkeypatch.setattr("motif.annotate.assemble.make_chat_model", lambda config: model)
    monkeypatch.setattr("motif.annotate.stage.make_chat_model", lambda config: model)
    return model
