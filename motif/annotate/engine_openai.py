"""Any server that speaks OpenAI's protocol, through its client, many requests at once."""

from __future__ import annotations

import asyncio
import itertools
import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import openai
from tqdm import tqdm

from motif.annotate.chat import ModelError, Reply, Request, Sampling
from motif.annotate.completions import RubbishError, read_completion
from motif.annotate.refusals import is_about_prompt
from motif.annotate.request_body import RequestBodies
from motif.annotate.server import Server
from motif.messages import printable

POOL = 32  # connections of a client: each request looks through all of its pool's
RETRIES = 3  # of the client, with growing delays; then there is a pause, and another round
PAUSE = 1.0  # seconds
MOST_ROUNDS = 3  # of one request, with HTTP 5xx, while others succeed: then it has no answer
NO_LIST = (403, 404, 405, 501)  # a server without a list of models may still answer
SERVED = ("ftype", "n_params", "size")  # what a server may tell of a model's weights
RETRIED = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)


class OpenAIChatModel:
    """A chat model behind a server; replies come as they are ready, without windows.

    A server that cannot be reached, is overloaded or answers rubbish is tried again until it has
    not answered anything for ``patience`` seconds.

    Args:
        base_url: the server's address, or those of several with the same model.
        api_key_env: the environment variable with the key; servers without keys need none.
        concurrency: requests under way at once.
        timeout: seconds until a request counts as failed.
        extra_body: fields to add to each request; they have the last word.
        headers, query: see :class:`Server`.

    Raises:
        ModelError: the server cannot be reached, refuses, or has no such model.
    """

    def __init__(
        self,
        model: str,
        sampling: Sampling,
        *,
        base_url: str | Sequence[str],
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 256,
        timeout: float = 600.0,
        patience: float = 300.0,
        extra_body: Mapping[str, Any] = MappingProxyType({}),
        headers: Mapping[str, Any] = MappingProxyType({}),
        query: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._model, self._patience = model, patience
        self._bodies = RequestBodies(model, sampling, extra_body)
        urls = [base_url] if isinstance(base_url, str) else base_url
        servers = [Server(url, api_key_env, headers, query) for url in urls]
        self._server = servers[0]
        self._results: queue.SimpleQueue[Reply | ModelError] = queue.SimpleQueue()
        self._last_answer = time.monotonic()
        self._told_to_wait = False
        self.max_model_len: int | None = None
        self.served: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._clients: list[openai.AsyncOpenAI] = []
        self._free: asyncio.Queue[openai.AsyncOpenAI] = asyncio.Queue()
        try:
            share = max(concurrency // len(servers), 1)
            for server, place in itertools.product(servers, range(share)):
                if place % POOL == 0:  # a place for each request that may be under way
                    self._clients.append(server.client(min(POOL, share), timeout, RETRIES))
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
        except openai.APIStatusError as error:
            if error.status_code not in NO_LIST:
                reason = self._server.reason(error)
                raise self._server.refusal(error.status_code, reason) from None
            self._tell(f"gives no list of its models (HTTP {error.status_code})")
            return
        try:
            entries = page if isinstance(page, list) else page["data"]
            models = {entry["id"]: entry for entry in entries}
        except (KeyError, TypeError):
            raise ModelError(
                f"{self._server.shown_url} does not answer like an OpenAI server; is it the right "
                "address? (it often ends in /v1)"
            ) from None
        if models and self._model not in models:
            listed = ", ".join(sorted(map(str, models))[:20])
            self._tell(f"has no model {self._model!r}; it has: {listed} (use --model)")
        entry = models.get(self._model, {})
        told = entry["meta"] if isinstance(entry.get("meta"), Mapping) else {}  # llama.cpp's
        length = entry.get("max_model_len") or told.get("n_ctx")
        self.max_model_len = length if isinstance(length, int) else None
        self.served = {name: told[name] for name in SERVED if name in told}

    def _tell(self, what: str) -> None:
        said = f"note: {self._server.shown_url} {what}; asking for {self._model!r} all the same"
        tqdm.write(printable(said), file=sys.stderr)

    async def _answer(self, request: Request) -> None:
        client = await self._free.get()
        try:
            self._results.put(await self._persist(lambda: self._complete(client, request), request))
        except ModelError as error:
            self._results.put(error)
        except openai.APIStatusError as error:
            reason = self._server.reason(error)
            self._results.put(self._refused(request, error.status_code, reason))
        except openai.OpenAIError as error:
            problem = self._server.scrub(str(error))
            self._results.put(ModelError(f"{self._server.shown_url}: {problem}"))
        finally:
            self._free.put_nowait(client)

    def _refused(self, request: Request, status: int, reason: str) -> Reply | ModelError:
        if is_about_prompt(status, reason):
            self._last_answer = time.monotonic()
            return Reply(request.tag, "", 0, 0, refused=reason)
        return self._server.refusal(status, reason)

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
                if getattr(error, "status_code", 0) == 501:  # not implemented, and never will be
                    raise
                hopeless = self._server.hopeless(error)
                if hopeless:
                    raise hopeless from None
                problem = self._server.in_short(error)
                status = error.status if isinstance(error, RubbishError) else 0
                if request and 400 <= status < 429:
                    refused = self._refused(request, status, problem)
                    if isinstance(refused, ModelError):
                        raise refused from None
                    return refused
                failures += isinstance(error, openai.InternalServerError | RubbishError)
                silent = time.monotonic() - max(self._last_answer, began)
                if silent > self._patience:
                    raise ModelError(
                        f"{self._server.shown_url} has not answered for {silent:.0f} s "
                        f"({problem}); labels so far are kept: see to the server, then start the "
                        "same command again"
                    ) from None
                if request and failures >= MOST_ROUNDS and self._last_answer > began:
                    return Reply(request.tag, "", 0, 0, refused=f"again and again: {problem}")
                self._tell_to_wait(error)
                await asyncio.sleep(PAUSE)
            else:
                self._last_answer = time.monotonic()
                return answer

    async def _complete(self, client: openai.AsyncOpenAI, request: Request) -> Reply:
        body = self._bodies.make(request.messages, request.tag, self.max_model_len)
        while True:
            try:
                completion = await client.post("/chat/completions", cast_to=object, body=body)
                return read_completion(request.tag, completion, logprobs=bool(body.get("logprobs")))
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                fitted = self._bodies.fit_limit(body, self._server.reason(error))
                if fitted is None:
                    raise
                body = fitted

    def _tell_to_wait(self, error: Exception) -> None:
        if not self._told_to_wait:
            self._told_to_wait = True
            said = f"waiting for {self._server.shown_url} ({self._server.in_short(error)})"
            tqdm.write(printable(said), file=sys.stderr)
