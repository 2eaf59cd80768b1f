"""A server that speaks OpenAI's protocol: its address, its key, and what its errors mean."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

import openai

from motif.annotate.chat import ModelError
from motif.annotate.refusals import explain_refusal, first_lines


class Server:
    """Where requests go; no text that it makes shows the key or a password in the address.

    Args:
        key_env: the environment variable with the key; servers without keys need none.

    Raises:
        ModelError: the address or the key cannot be one.
    """

    def __init__(self, base_url: str, key_env: str) -> None:
        self._base_url, self._key_env = base_url, key_env
        self._key = os.environ.get(key_env) or "none"
        self.shown_url = _without_credentials(base_url)
        if not (self._key.isascii() and self._key.isprintable()):
            raise ModelError(
                f"the environment variable {key_env} holds characters that no key has; put "
                "the key alone into it (--api-key-env names another)"
            )

    def client(self, connections: int, timeout: float, retries: int) -> openai.AsyncOpenAI:
        """A client with a pool in which each request under way keeps its connection.

        Idle ones are given up before the server does so (vLLM: after 5 s), or a request would now
        and then meet a connection that is just being closed.
        """
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=2.0
        )
        return openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._key,
            timeout=timeout,
            max_retries=retries,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits),
        )

    def scrub(self, text: str) -> str:
        """``text`` without the key."""
        return text.replace(self._key, "***") if self._key != "none" else text

    def in_short(self, error: Exception) -> str:
        """Why there was no answer, in a few words."""
        if isinstance(error, openai.APITimeoutError):
            return "no answer in time; --timeout sets how long"
        if isinstance(error, openai.APIConnectionError):
            return "no connection"
        if isinstance(error, openai.APIStatusError):
            return f"HTTP {error.status_code}"
        return "what it sends is no chat completion"

    def refusal(self, error: openai.APIStatusError) -> ModelError:
        """What the server refuses, with the way out."""
        problem = self.scrub(first_lines(error))
        if error.status_code in (401, 403):
            return ModelError(
                f"{self.shown_url} refuses this key (HTTP {error.status_code}); put a valid one "
                f"into the environment variable {self._key_env} (--api-key-env names another)"
            )
        if error.status_code == 404:
            return ModelError(f"{self.shown_url} has no such model or address: {problem}")
        return ModelError(explain_refusal(problem))


def _without_credentials(url: str) -> str:
    """The address as it may be shown.

    Raises:
        ModelError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it begins with http:// or https:// and a host")
    except ValueError as error:
        shown = re.sub(r"//.*@", "//***@", url)
        raise ModelError(
            f"--base-url {shown!r} is no address ({error}); one looks like http://localhost:8000/v1"
        ) from None
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
