"""Any server that speaks OpenAI's protocol, through its client, many requests at once."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import openai

from motif.annotate.chat import ModelError, Reply, Request, Sampling
from motif.annotate.completions import RubbishError, read_completion
from motif.annotate.refusals import is_too_long
from motif.annotate.server import Server

POOL = 32  # connections of a client: each request looks through all of its pool's
RETRIES = 3  # of the client, with growing delays; then there is a pause, and another round
PAUSE = 1.0  # seconds
MOST_ROUNDS = 3  # of one request, with HTTP 5xx, while others succeed: then it has no answer
CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}  # vLLM's words
RETRIED = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)


class OpenAIChatModel:
    """A chat model behind a server; replies come as they are ready, without windows.

    A server that cannot be reached, is overloaded or answers rubbish is tried again until it has
    not answered anything for ``patience`` seconds.

    Args:
        api_key_env: the environment variable with the key; servers without keys need none.
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
        self._server = Server(base_url, api_key_env)
        self._results: queue.SimpleQueue[Reply | ModelError] = queue.SimpleQueue()
        self._last_answer = time.monotonic()
        self._told_to_wait = False
        self.max_model_len: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._clients: list[openai.AsyncOpenAI] = []
        self._free: asyncio.Queue[openai.AsyncOpenAI] = asyncio.Queue()
        try:
            for place in range(concurrency):  # a place for each request that may be under way
                if place % POOL == 0:
                    pool = min(POOL, concurrency)
                    self._clients.append(self._server.client(pool, timeout, RETRIES))
                self._free.put_nowait(self._clients[-1])
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
        errors = [result for result in results if isinstance(result, ModelError)]
        if not replies:
            raise errors[0]
        for error in errors:  # hand on the replies first; the error comes with the next call
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
        for client in self._clients:
            await client.close()

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _check_model(self) -> None:
        """See that the server has the model; learn the model's length, where it says so."""
        try:
            page = await self._persist(lambda: self._clients[0].get("/models", cast_to=object))
        except openai.NotFoundError:  # a server without this list may still answer
            return
        except openai.APIStatusError as error:
            raise self._server.refusal(error) from None
        try:
            models = {entry["id"]: entry for entry in page["data"]}
        except (KeyError, TypeError):
            raise ModelError(
                f"{self._server.shown_url} does not answer like an OpenAI server; is it the right "
                "address? (it often ends in /v1)"
            ) from None
        if models and self._model not in models:
            raise ModelError(
                f"{self._server.shown_url} has no model {self._model!r}; it has: "
                f"{', '.join(sorted(models)[:20])} (use --model)"
            )
        length = models.get(self._model, {}).get("max_model_len")
        self.max_model_len = length if isinstance(length, int) else None

    async def _answer(self, request: Request) -> None:
        client = await self._free.get()
        try:
            self._results.put(await self._persist(lambda: self._complete(client, request), request))
        except ModelError as error:
            self._results.put(error)
        except openai.APIStatusError as error:
            self._results.put(self._server.refusal(error))
        except openai.OpenAIError as error:
            problem = self._server.scrub(str(error))
            self._results.put(ModelError(f"{self._server.shown_url}: {problem}"))
        finally:
            self._free.put_nowait(client)

    async def _persist(self, call: Any, request: Request | None = None) -> Any:
        """``await call()``, again and again while the server cannot answer.

        Raises:
            ModelError: it has not answered for too long.
            openai.APIStatusError: it refuses.
        """
        began, failures = time.monotonic(), 0
        while True:
            try:
                answer = await call()
            except (*RETRIED, RubbishError, ValueError) as error:
                failures += isinstance(error, openai.InternalServerError | RubbishError)
                silent = time.monotonic() - max(self._last_answer, began)
                if silent > self._patience:
                    raise ModelError(
                        f"{self._server.shown_url} has not answered for {silent:.0f} s "
                        f"({self._server.in_short(error)}); labels so far are kept: see to the "
                        "server, then start the same command again"
                    ) from None
                if request and failures >= MOST_ROUNDS and self._last_answer > began:
                    return Reply(request.tag, "", 0, 0)
                self._tell_to_wait(error)
                await asyncio.sleep(PAUSE)
            else:
                self._last_answer = time.monotonic()
                return answer

    async def _complete(self, client: openai.AsyncOpenAI, request: Request) -> Reply:
        body = self._body(request)
        try:
            completion = await client.post("/chat/completions", cast_to=object, body=body)
        except openai.BadRequestError as error:
            # Prompt and longest answer do not fit together: without a limit it takes what fits.
            if not (body.pop("max_tokens", None) and is_too_long(str(error.message))):
                raise
            completion = await client.post("/chat/completions", cast_to=object, body=body)
        return read_completion(request.tag, completion, logprobs=self._sampling.logprobs > 0)

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = self._sampling
        body: dict[str, Any] = {
            "model": self._model,
            "messages": request.messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        # Not by default: a generator for each request slows vLLM down, and its CPU build (0.32)
        # dies of one.
        if sampling.seed is not None:
            body["seed"] = (sampling.seed * 1_000_003 + request.tag) % 2**31
        if sampling.prefilled:
            body |= {**CONTINUE, "max_tokens": 1}
        elif self.max_model_len is None or sampling.max_new_tokens < self.max_model_len:
            body["max_tokens"] = sampling.max_new_tokens
        if sampling.logprobs:
            body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
        return body

    def _tell_to_wait(self, error: Exception) -> None:
        if not self._told_to_wait:
            self._told_to_wait = True
            problem = self._server.scrub(self._server.in_short(error))
            print(f"waiting for {self._server.shown_url} ({problem})", file=sys.stderr)
