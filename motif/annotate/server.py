"""A server that speaks OpenAI's protocol: its address, its key, and what its errors mean."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from urllib.request import getproxies_environment, proxy_bypass

import openai

from motif.annotate.chat import ModelError
from motif.annotate.completions import RubbishError
from motif.annotate.refusals import explain_refusal, first_lines

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
NO_MONEY = re.compile(
    r"insufficient[ _](?:quota|credit|balance|funds)|exceeded your current quota|out of credits"
)


class Server:
    """Where requests go; no text that it makes shows the key or a password in the address.

    Args:
        key_env: the environment variable with the key; servers without keys need none.
        headers: further ones; ``$NAME`` in a value is that environment variable.
        query: what to add to the address, beside what it has.

    Raises:
        ModelError: the address or the key cannot be one.
    """

    def __init__(
        self, base_url: str, key_env: str, headers: Mapping[str, Any], query: Mapping[str, Any]
    ) -> None:
        self._key_env, self._key = key_env, os.environ.get(key_env) or "none"
        self._headers = {name: os.path.expandvars(str(text)) for name, text in headers.items()}
        self.shown_url = _without_credentials(base_url)
        parts = urlsplit(base_url)
        self._base_url = urlunsplit(parts._replace(query="", fragment=""))
        self._query = {**dict(parse_qsl(parts.query)), **query}
        if not (self._key.isascii() and self._key.isprintable()):
            raise ModelError(
                f"the environment variable {key_env} holds characters that no key has; put "
                "the key alone into it (--api-key-env names another)"
            )
        self._proxy = (
            ""
            if proxy_bypass(parts.hostname or "")
            else next(
                (
                    f"{kind}_proxy"
                    for kind in (parts.scheme, "all")
                    if kind in getproxies_environment()
                ),
                "",
            )
        )

    def client(self, connections: int, timeout: float, retries: int) -> openai.AsyncOpenAI:
        """A client with a pool in which each request under way keeps its connection.

        Idle ones are given up before the server does so (vLLM: after 5 s), or a request would now
        and then meet a connection that is just being closed.

        Raises:
            ModelError: the environment's proxy or certificates cannot be used.
        """
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=2.0
        )
        try:
            return openai.AsyncOpenAI(
                base_url=self._base_url,
                api_key=self._key,
                timeout=timeout,
                max_retries=retries,
                default_headers=self._headers,
                default_query=self._query,
                http_client=openai.DefaultAsyncHttpxClient(limits=limits),
            )
        except (OSError, ImportError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"no connection to {self.shown_url} can be made: {self.scrub(first_lines(error))}"
                f"{self._surroundings()}"
            ) from None

    def scrub(self, text: str) -> str:
        """``text`` without the key, and without what further headers say."""
        for secret in (self._key, *self._headers.values()):
            text = text.replace(secret, "***") if secret not in ("", "none") else text
        return text

    def in_short(self, error: Exception) -> str:
        """Why there was no answer, in a few words, with the server's own."""
        if isinstance(error, openai.APITimeoutError):
            text = "no answer in time; --timeout sets how long"
        elif isinstance(error, openai.APIConnectionError):
            cause = str(error.__cause__ or "")
            known = not cause or "connection attempts failed" in cause
            text = "no connection" if known else f"no connection: {cause}"
            text += self._surroundings() if self._proxy or "certificate" in cause else ""
        elif isinstance(error, openai.APIStatusError):
            text = f"HTTP {error.status_code}: {self.reason(error)}"
        elif isinstance(error, RubbishError):
            text = str(error)
        else:
            text = "what it sends is no chat completion"
        return self.scrub(text)

    def reason(self, error: openai.APIStatusError) -> str:
        """What the server says itself; its whole answer where it has no message."""
        body = error.body if isinstance(error.body, Mapping) else {}
        said = body.get("message") or body.get("detail") or error.response.text or error.message
        return self.scrub(" ".join(str(said).split())[:400])

    def hopeless(self, error: Exception) -> ModelError | None:
        """The error for what no waiting helps: no money left, a certificate that is not trusted."""
        limited = isinstance(error, openai.RateLimitError | RubbishError)
        if limited and NO_MONEY.search(str(error).lower()):
            return ModelError(f"{self.shown_url} gives no more answers: {self.in_short(error)}")
        cause = str(error.__cause__ or "").lower()
        if isinstance(error, openai.APIConnectionError) and "certificate" in cause:
            return ModelError(f"{self.shown_url} is not trusted: {self.in_short(error)}")
        return None

    def refusal(self, status: int, problem: str) -> ModelError:
        """What the server refuses, with the way out."""
        if status in (401, 403):
            return ModelError(
                f"{self.shown_url} refuses this key (HTTP {status}); put a valid one "
                f"into the environment variable {self._key_env} (--api-key-env names another); "
                f"it says: {problem}"
            )
        if status == 402:
            return ModelError(f"{self.shown_url} gives no more answers: HTTP 402: {problem}")
        if status == 404:
            return ModelError(f"{self.shown_url} has no such model or address: {problem}")
        return ModelError(explain_refusal(problem))

    def _surroundings(self) -> str:
        """The variables of the environment that decide about connections."""
        told = [f"{name}={os.environ[name]}" for name in CERTIFICATES if os.environ.get(name)]
        if self._proxy:
            address = re.sub(r"//.*@", "//***@", getproxies_environment()[self._proxy[:-6]])
            host = urlsplit(self._base_url).hostname
            told.append(f"{self._proxy}={address}; no_proxy={host} goes without the proxy")
        return f" (environment: {', '.join(told)})" if told else ""


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
