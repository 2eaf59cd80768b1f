"""What a chat model is to the annotator: requests go in, replies come out, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from motif.errors import MotifError


class ModelError(MotifError):
    """A model, engine or server that cannot do what is asked of it."""


class OpenRequestsError(MotifError):
    """Questions are left that only another run can get the answers of."""


class Message(TypedDict):
    """One turn of a conversation."""

    role: str  # system, user or assistant
    content: str


@dataclass(frozen=True)
class Sampling:
    """How a model answers. Defaults are the paper's."""

    temperature: float | None = 0.1  # None: what the engine takes by itself, as for top_p
    top_p: float | None = 0.95
    top_k: int = 50  # 0: all tokens
    max_new_tokens: int = 4096
    seed: int | None = None
    prefilled: bool = False  # the last turn is the beginning of the model's answer
    logprobs: int = 0  # most likely first tokens to report, with log-probabilities


@dataclass(frozen=True)
class Request:
    """A conversation that waits for the model's next turn."""

    tag: int  # chosen by the caller, unique among requests under way
    messages: list[Message]
    swapped: bool = False  # whether the second side of the pair is shown first


@dataclass(frozen=True)
class Reply:
    """The model's next turn of the conversation ``tag``."""

    tag: int
    text: str
    prompt_tokens: int
    new_tokens: int
    first_token: Sequence[tuple[str, float]] = ()  # candidates: text, log-probability
    cut: bool = False  # the model had no room to finish, so there is no decision
    thoughts: str = ""  # what a server sends apart from the answer
    refused: str = ""  # why this prompt, of all prompts, gets no answer
    left_open: bool = False  # its answer can only come in another run


class ChatModel(Protocol):
    """An engine that holds a chat model. The extension point for another one."""

    @property
    def max_model_len(self) -> int | None:
        """Tokens that prompt and answer may have together; None if not known."""

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests, without waiting for replies.

        Raises:
            ModelError: the engine cannot take one.
        """

    def collect(self) -> list[Reply]:
        """Wait for replies: at least one, if any request is under way.

        Raises:
            ModelError: the engine cannot go on.
        """

    def close(self) -> None:
        """Give up what is under way and free the engine."""
