"""Any server that speaks OpenAI's protocol, through its client, many requests at once."""

from __future__ import annotations

import asyncio
import os
import queue
import random
import re
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import openai

from motif.annotate.chat import ModelError, Reply, Request, Sampling
from motif.annotate.engine_vllm import explain_refusal, is_too_long

POOL = 32  # connections of a client: each request looks through all of its pool's
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between tries, doubling
MOST_FAILURES = (
    10  # of one request, with HTTP 5xx, while others succeed: then it counts as unanswered
)
CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}  # vLLM's words
RETRIED = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)


class _Rubbish(Exception):
    """A reply that is no chat completion."""


class OpenAIChatModel:
    """A chat model behind a server; replies come as they are ready, without windows.

    A server that cannot be reached, is overloaded or answers rubbish is tried again, with growing
    delays, until it has not answered anything for ``patience`` seconds.

    Args:
        api_key_env: the environment variable with the key; servers without keys need none. The
            key is never shown or written.
        concurrency: requests under way at once.
        timeout: seconds until a request counts as failed.

    Raises:
        ModelError: the server cannot be reached, refuses, or has no such model.
    """

    def __init__(
        self,
        model: str,
        sampling: Sampling,
        *,
        base_url: str,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 256,
        timeout: float = 600.0,
        patience: float = 300.0,
    ) -> None:
        self._model, self._sampling, self._patience = model, sampling, patience
        self._key_env, self._key = api_key_env, os.environ.get(api_key_env) or "none"
        self._shown_url = _without_credentials(base_url)
        if not (self._key.isascii() and self._key.isprintable()):
            raise ModelError(
                f"the environment variable {api_key_env} holds characters that no key has; put "
                "the key alone into it (--api-key-env names another)"
            )
        self._results: queue.SimpleQueue[Reply | ModelError] = queue.SimpleQueue()
        self._last_answer = time.monotonic()
        self._told_to_wait = False
        self.max_model_len: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._clients = [
                openai.AsyncOpenAI(
                    base_url=base_url,
                    api_key=self._key,
                    timeout=timeout,
                    max_retries=0,
                    http_client=_connections(min(POOL, concurrency)),
                )
                for _ in range(0, concurrency, POOL)
            ]
            self._free: asyncio.Queue[openai.AsyncOpenAI] = asyncio.Queue()
            for place in range(concurrency):  # one for each request that may be under way
                self._free.put_nowait(self._clients[place // POOL])
            self._wait(self._check_model())
        except BaseException:
            self.close()
            raise

    def submit(self, requests: Sequence[Request]) -> None:
        """Send requests as fast as the server may have them."""
        for request in requests:
            asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def collect(self) -> list[Reply]:
        """Wait for a reply; return it with all others that are there.

        Raises:
            ModelError: the server refused, or has been silent for too long.
        """
        results = [self._results.get()]
        while not self._results.empty():
            results.append(self._results.get())
        replies = [result for result in results if isinstance(result, Reply)]
        if not replies:
            raise next(result for result in results if isinstance(result, ModelError))
        for error in results:  # hand on the replies first; the error comes with the next call
            if isinstance(error, ModelError):
                self._results.put(error)
        return replies

    def close(self) -> None:
        """Drop what is under way and stop the thread."""
        if not self._thread.is_alive():
            return
        self._wait(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in getattr(self, "_clients", ()):
            await client.close()

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _check_model(self) -> None:
        """See that the server has the model; learn the model's length, where it says so."""
        try:
            page = await self._persist(self._clients[0].models.list)
        except openai.NotFoundError:  # a server without this list may still answer
            return
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        try:
            models = {entry.id: entry for entry in page.data}
        except (AttributeError, TypeError):
            raise ModelError(
                f"{self._shown_url} does not answer like an OpenAI server; is it the right "
                "address? (it often ends in /v1)"
            ) from None
        if models and self._model not in models:
            raise ModelError(
                f"{self._shown_url} has no model {self._model!r}; it has: "
                f"{', '.join(sorted(models)[:20])} (use --model)"
            )
        length = getattr(models.get(self._model), "max_model_len", None)
        self.max_model_len = length if isinstance(length, int) else None

    async def _answer(self, request: Request) -> None:
        client = await self._free.get()
        try:
            self._results.put(await self._persist(lambda: self._complete(client, request), request))
        except ModelError as error:
            self._results.put(error)
        except openai.APIStatusError as error:
            self._results.put(self._refusal(error))
        except openai.OpenAIError as error:
            self._results.put(ModelError(self._scrub(f"{self._shown_url}: {error}")))
        finally:
            self._free.put_nowait(client)

    async def _persist(self, call: Any, request: Request | None = None) -> Any:
        """``await call()``, again and again while the server cannot answer.

        Raises:
            ModelError: it has not answered for too long.
            openai.APIStatusError: it refuses.
        """
        began, delay, failures = time.monotonic(), FIRST_DELAY, 0
        while True:
            try:
                answer = await call()
            except (*RETRIED, _Rubbish, openai.APIResponseValidationError, ValueError) as error:
                failures += isinstance(error, (openai.InternalServerError, _Rubbish))
                silent = time.monotonic() - max(self._last_answer, began)
                if silent > self._patience:
                    raise ModelError(self._given_up(error, silent)) from None
                if request and failures >= MOST_FAILURES and self._last_answer > began:
                    return Reply(request.tag, "", 0, 0)
                self._tell_to_wait(error)
                await asyncio.sleep(max(_retry_after(error), delay * random.uniform(0.5, 1)))
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                self._last_answer = time.monotonic()
                return answer

    async def _complete(self, client: openai.AsyncOpenAI, request: Request) -> Reply:
        arguments = self._arguments(request)
        create = partial(client.chat.completions.create, model=self._model)
        try:
            completion = await create(**arguments)
        except openai.BadRequestError as error:
            # Prompt and longest answer do not fit together: without a limit it takes what fits.
            if not (arguments.pop("max_tokens", None) and is_too_long(str(error.message))):
                raise
            completion = await create(**arguments)
        try:
            choice = completion.choices[0]
            text = choice.message.content or ""
            usage = completion.usage
            prompt_tokens = usage.prompt_tokens if usage else 0
            new_tokens = usage.completion_tokens if usage else 0
            candidates = _candidates(choice) if self._sampling.logprobs else ()
        except (AttributeError, IndexError, TypeError):
            raise _Rubbish("a reply that is no chat completion") from None
        return Reply(request.tag, text, prompt_tokens, new_tokens, candidates)

    def _arguments(self, request: Request) -> dict[str, Any]:
        sampling = self._sampling
        extra: dict[str, Any] = {"top_k": sampling.top_k} if sampling.top_k else {}
        arguments: dict[str, Any] = {
            "messages": request.messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        # Not by default: a generator for each request slows vLLM down, and its CPU build (0.32)
        # dies of one.
        if sampling.seed is not None:
            arguments["seed"] = (sampling.seed * 1_000_003 + request.tag) % 2**31
        if sampling.prefilled:
            extra |= CONTINUE
            arguments["max_tokens"] = 1
        elif self.max_model_len is None or sampling.max_new_tokens < self.max_model_len:
            arguments["max_tokens"] = sampling.max_new_tokens
        if sampling.logprobs:
            arguments |= {"logprobs": True, "top_logprobs": sampling.logprobs}
        return arguments | {"extra_body": extra}

    def _refusal(self, error: openai.APIStatusError) -> ModelError:
        problem = self._scrub(" ".join(str(error.message).split())[:400])
        if error.status_code in (401, 403):
            return ModelError(
                f"{self._shown_url} refuses this key (HTTP {error.status_code}); put a valid one "
                f"into the environment variable {self._key_env} (--api-key-env names another)"
            )
        if error.status_code == 404:
            return ModelError(f"{self._shown_url} has no such model or address: {problem}")
        return ModelError(explain_refusal(problem))

    def _given_up(self, error: Exception, silent: float) -> str:
        return (
            f"{self._shown_url} has not answered for {silent:.0f} s "
            f"({self._scrub(_in_short(error))}); labels so far are kept: see to the server, then "
            "start the same command again"
        )

    def _tell_to_wait(self, error: Exception) -> None:
        if not self._told_to_wait:
            self._told_to_wait = True
            problem = self._scrub(_in_short(error))
            print(f"waiting for {self._shown_url} ({problem})", file=sys.stderr)

    def _scrub(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key != "none" else text


def _connections(count: int) -> openai.DefaultAsyncHttpxClient:
    """A pool in which each request under way keeps its connection.

    Idle ones are given up before the server does so (vLLM: after 5 s), or a request would now and
    then meet a connection that is just being closed.
    """
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=count, max_keepalive_connections=count, keepalive_expiry=2.0
    )
    return openai.DefaultAsyncHttpxClient(limits=limits)


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


def _in_short(error: Exception) -> str:
    if isinstance(error, openai.APITimeoutError):
        return "no answer in time; --timeout sets how long"
    if isinstance(error, openai.APIConnectionError):
        return "no connection"
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code}"
    return "what it sends is no chat completion"


def _retry_after(error: Exception) -> float:
    """Seconds that the server asks to wait, at most ``LONGEST_DELAY``."""
    response = getattr(error, "response", None)
    wish = response.headers.get("retry-after", "") if response is not None else ""
    return min(float(wish), LONGEST_DELAY) if wish.replace(".", "", 1).isdigit() else 0.0


def _candidates(choice: Any) -> tuple[tuple[str, float], ...]:
    content = choice.logprobs.content if choice.logprobs else None
    return tuple((top.token, top.logprob) for top in content[0].top_logprobs) if content else ()
