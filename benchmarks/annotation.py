"""How fast pairs are labelled, against vLLM alone and against the release's way of asking.

    python -m benchmarks.annotation

Needs vllm (`make test-vllm` makes an environment with its CPU build). The model is the tiny one of
benchmarks.tiny_chat_model, at least 64 new tokens an answer, on pairs with the distribution of
collected ones. Engines are loaded before the clock starts; rounds alternate; medians.

a  bare     vLLM's generate over the unique prompts, tokenized before, in one call: the limit
b  ours     the annotator, vLLM in this process
c  http     the annotator, vLLM's server on loopback
d  release  2,000 a batch with a barrier, then a pass of retries; no prefix cache
"""

from __future__ import annotations

import argparse
import gc
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import report
from benchmarks.synthetic_pairs import write_pairs
from motif.annotate.answers import AnswerParser
from motif.annotate.cache import AnswerCache
from motif.annotate.chat import ChatModel, Message, Reply, Request, Sampling
from motif.annotate.engine_openai import OpenAIChatModel
from motif.annotate.engine_vllm import VLLMChatModel
from motif.annotate.language_model import (
    AskingOptions,
    LanguageModelAnnotator,
    captioned_pairs,
)
from motif.annotate.prompt import Prompt, load_shipped_prompt
from motif.pairs_dataset import PairsDataset

SAMPLING = Sampling(max_new_tokens=128)
RELEASE_BATCH = 2000
MAX_MODEL_LEN = 1024
ENGINE_ARGS = {"enforce_eager": True}  # compiling a tiny model takes longer than the benchmark
HOST_PAIRS = 20_000


class Kept:
    """A chat model that outlives its annotators, so that loading is not measured."""

    def __init__(self, model: ChatModel) -> None:
        self.model, self.max_model_len = model, model.max_model_len
        self.submit, self.collect = model.submit, model.collect

    def close(self) -> None:
        """Stay open."""


class Instant:
    """Answers at once: what is left is our own work."""

    max_model_len = None

    def __init__(self) -> None:
        self.queue: list[Request] = []

    def submit(self, requests: Sequence[Request]) -> None:
        self.queue.extend(requests)

    def collect(self) -> list[Reply]:
        requests, self.queue = self.queue, []
        text = "First I look at the one, then at the other. " * 20 + '("best_description": 1)'
        return [Reply(request.tag, text, 300, 200) for request in requests]

    def close(self) -> None:
        """Nothing to free."""


def seconds(work: Callable[[], object]) -> float:
    """Wall time of ``work``."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def label(pairs: PairsDataset, prompt: Prompt, model: ChatModel, **options: Any) -> None:
    """Label all pairs with our annotator and an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        annotator = LanguageModelAnnotator(
            prompt,
            lambda: Kept(model),
            AnswerCache(Path(folder)),
            source={},
            options=AskingOptions(**options),
        )
        for _ in annotator.annotate(pairs, np.arange(len(pairs))):
            pass


def conversations(pairs: PairsDataset, prompt: Prompt, *, dedupe: bool) -> list[list[Message]]:
    """What there is to ask: each couple of different captions, once or as often as it occurs."""
    captions = [c[1:] for c in captioned_pairs(pairs, np.arange(len(pairs))) if c[1] != c[2]]
    return [prompt.conversation(*c) for c in (dict.fromkeys(captions) if dedupe else captions)]


def ask_like_the_release(model: VLLMChatModel, prompt: Prompt, asked: list[list[Message]]) -> None:
    """A batch, its barrier, and a blocking pass of retries, again and again."""
    parse = AnswerParser(prompt)
    for start in range(0, len(asked), RELEASE_BATCH):
        batch = asked[start : start + RELEASE_BATCH]
        model.submit([Request(i, turns) for i, turns in enumerate(batch)])
        replies = model.collect()
        unparsed = [reply for reply in replies if parse(reply.text) is None]
        retry = Message(role="user", content=prompt.retry)
        for reply in unparsed:
            said = Message(role="assistant", content=reply.text)
            model.submit([Request(reply.tag, [*batch[reply.tag], said, retry])])
        if unparsed:
            model.collect()


@contextmanager
def engine(model: Path, sampling: Sampling, **arguments: Any) -> Iterator[VLLMChatModel]:
    """vLLM in this process, gone afterwards."""
    loaded = VLLMChatModel(
        str(model),
        sampling,
        dtype="float32",
        max_model_len=MAX_MODEL_LEN,
        engine_args=ENGINE_ARGS | arguments,
    )
    try:
        yield loaded
    finally:
        loaded.close()
        gc.collect()


@contextmanager
def server(model: Path) -> Iterator[str]:
    """vLLM's own server on loopback; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", str(MAX_MODEL_LEN), "--enforce-eager"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def measure_host(folder: Path) -> tuple[float, float]:
    """Prompts built and answers parsed a second on one core; growth of memory in MiB."""
    pairs, prompt = write_pairs(folder / "host", HOST_PAIRS), load_shipped_prompt(*DEFAULT)
    started = time.process_time()  # of one core, whatever else the machine does
    label(pairs, prompt, Instant(), dedupe=False)
    rate = HOST_PAIRS / (time.process_time() - started)
    peaks = []
    for count in (2000, HOST_PAIRS):
        few = write_pairs(folder / f"host{count}", count)
        tracemalloc.start()
        label(few, prompt, Instant(), dedupe=False, window=512)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    return rate, peaks[1] - peaks[0]


DEFAULT = ("default", "defaultgoal")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds of each way, by round."""
    pairs, prompt = write_pairs(folder / "pairs", arguments.pairs), load_shipped_prompt(*DEFAULT)
    unique = conversations(pairs, prompt, dedupe=True)
    every = conversations(pairs, prompt, dedupe=False)
    took: dict[str, list[float]] = {}

    def round_of(name: str, work: Callable[[], object]) -> None:
        took.setdefault(name, []).append(seconds(work))
        print(f"{name:14} {took[name][-1]:8.1f} s", file=sys.stderr, flush=True)

    rounds = range(arguments.rounds)
    with engine(arguments.model, SAMPLING) as model:
        llm, tokenizer = model._llm, model._llm.get_tokenizer()
        tokens = [
            {"prompt_token_ids": tokenizer.encode(text, add_special_tokens=False)}
            for text in tokenizer.apply_chat_template(
                unique, tokenize=False, add_generation_prompt=True
            )
        ]
        llm.generate(tokens[:64], model._parameters, use_tqdm=False)  # warm
        for _ in rounds:
            llm.reset_prefix_cache()
            round_of("bare", lambda: llm.generate(tokens, model._parameters, use_tqdm=False))
            llm.reset_prefix_cache()
            round_of("ours", lambda: label(pairs, prompt, model))
    with engine(arguments.model, SAMPLING, enable_prefix_caching=False) as model:
        for _ in rounds:
            round_of("release", lambda: ask_like_the_release(model, prompt, unique))
        round_of("release_every", lambda: ask_like_the_release(model, prompt, every))
    direct = Sampling(temperature=0, top_p=1, top_k=0, prefilled=True, logprobs=20)
    with engine(arguments.model, direct) as model:
        for _ in rounds:
            model._llm.reset_prefix_cache()
            round_of("direct", lambda: label(pairs, prompt, model, direct=True))
    with server(arguments.model) as url:
        http = OpenAIChatModel("tiny", SAMPLING, base_url=url)
        label(write_pairs(folder / "warm", 50, seed=9), prompt, http)
        for _ in rounds:
            urllib.request.urlopen(f"{url[:-3]}/health")
            round_of("http", lambda: label(pairs, prompt, http))
        http.close()
    took["prompts"] = [float(len(unique)), float(len(every))]
    return took


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=Path, help="the tiny model; default: train one")
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.model is None:
            arguments.model = folder / "tiny"
            command = [sys.executable, "-m", "benchmarks.tiny_chat_model"]
            subprocess.run([*command, "--output", str(arguments.model)], check=True)
        host_rate, host_growth = measure_host(folder)
        took = measure(arguments, folder)
    unique, every = took.pop("prompts")
    median = {name: statistics.median(values) for name, values in took.items()}
    figures = {f"{name}_s": [round(value, 2) for value in values] for name, values in took.items()}
    figures |= {
        "pairs": arguments.pairs,
        "unique_prompts": unique,
        "prompts_without_dedupe": every,
        "ours_pairs_per_s": round(arguments.pairs / median["ours"], 1),
        "host_pairs_per_s": round(host_rate),
        "host_growth_mib": round(host_growth, 2),
    }
    ratios = {
        "ours / bare": median["bare"] / median["ours"],
        "http / bare": median["bare"] / median["http"],
        "ours / release, both de-duplicated": median["release"] / median["ours"],
        "ours / release, which asks every pair": median["release_every"] / median["ours"],
        "direct / chain of thought": median["ours"] / median["direct"],
    }
    report("annotation", figures, {name: round(value, 3) for name, value in ratios.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
