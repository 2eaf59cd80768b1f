"""The body of a request for a chat completion, in OpenAI's words and some of vLLM's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from motif.annotate.chat import Message, Sampling
from motif.annotate.refusals import OTHER_LIMIT, is_too_long

CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}  # vLLM's words


class RequestBodies:
    """Makes the bodies of a run's requests.

    Args:
        extra_body: fields to add to each request; they have the last word.
    """

    def __init__(self, model: str, sampling: Sampling, extra_body: Mapping[str, Any]) -> None:
        self._model, self._sampling, self._extra_body = model, sampling, dict(extra_body)
        self._limit = "max_tokens"  # what this server calls the longest answer

    def make(
        self, messages: Sequence[Message], number: int, max_model_len: int | None
    ) -> dict[str, Any]:
        """The request for the next turn of ``messages``.

        Args:
            number: what makes its seed its own.
            max_model_len: tokens that prompt and answer may have together; None if not known.
        """
        sampling = self._sampling
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            **{
                name: value
                for name in ("temperature", "top_p")
                if (value := getattr(sampling, name)) is not None
            },
        }
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        # Not by default: a generator for each request slows vLLM down, and its CPU build (0.32)
        # dies of one.
        if sampling.seed is not None:
            body["seed"] = (sampling.seed * 1_000_003 + number) % 2**31
        if sampling.prefilled:
            body |= {**CONTINUE, self._limit: 1}
        elif max_model_len is None or sampling.max_new_tokens < max_model_len:
            body[self._limit] = sampling.max_new_tokens
        if sampling.logprobs:
            body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
        return body | self._extra_body

    def fit_limit(self, body: Mapping[str, Any], problem: str) -> dict[str, Any] | None:
        """``body`` with what ``problem`` has against its longest answer put right, if it has."""
        fitted = dict(body)
        limit = fitted.pop(self._limit, None) or fitted.pop("max_tokens", None)
        if limit is None:
            return None
        if OTHER_LIMIT.search(problem) and self._limit == "max_tokens":
            self._limit = "max_completion_tokens"  # for all that is asked from now on
        if OTHER_LIMIT.search(problem) and self._limit not in fitted:
            return fitted | {self._limit: limit}
        # Prompt and longest answer do not fit together: without a limit it takes what fits.
        return fitted if is_too_long(problem) else None
