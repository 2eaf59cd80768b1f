"""How fast pairs are labelled, against vLLM alone and against the release's way of asking.

    python -m benchmarks.annotation

Needs vllm (`make test-vllm` makes an environment with its CPU build). The model is the tiny one of
benchmarks.tiny_chat_model with more layers, so that a token costs the engine more than it costs who
asks, as with real models; at least 64 new tokens an answer, on pairs with the distribution of
collected ones. Each engine is loaded before its clock starts, alone; rounds alternate; medians.

a  bare     vLLM's generate over the unique prompts, tokenized before, in one call: the limit
b  ours     the annotator, vLLM in this process
c  http     the annotator, vLLM's server on loopback
d  release  2,000 a batch with a barrier, then a pass of retries; no prefix cache
"""

from __future__ import annotations

import argparse
import copy
import gc
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.deeper_model import deepen
from benchmarks.report import report
from benchmarks.synthetic_pairs import write_pairs
from motif.annotate.answers import AnswerParser
from motif.annotate.cache import AnswerCache
from motif.annotate.chat import ChatModel, Message, Reply, Request, Sampling
from motif.annotate.engine_openai import OpenAIChatModel
from motif.annotate.engine_vllm import VLLMChatModel, sampling_parameters
from motif.annotate.language_model import (
    AskingOptions,
    LanguageModelAnnotator,
    captioned_pairs,
)
from motif.annotate.prompt import Prompt, load_shipped_prompt
from motif.pairs_dataset import PairsDataset

SAMPLING = Sampling(max_new_tokens=128)
DIRECT = Sampling(temperature=0, top_p=1, top_k=0, prefilled=True, logprobs=20)
RELEASE_BATCH = 2000
MAX_MODEL_LEN = 1024
AT_ONCE = 128  # sequences in a batch; vLLM's defaults for the CPU differ: library 256, server 128
LAYERS = 12
DEFAULT = ("default", "defaultgoal")
WAYS = ("bare", "ours", "http", "release", "direct", "release_every")


class Kept:
    """A chat model that outlives its annotators, so that loading is not measured."""

    def __init__(self, model: ChatModel) -> None:
        self.model, self.max_model_len = model, model.max_model_len
        self.submit, self.collect = model.submit, model.collect

    def close(self) -> None:
        """Stay open."""


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


def collect(model: ChatModel, count: int) -> list[Reply]:
    """Wait for ``count`` replies."""
    replies: list[Reply] = []
    while len(replies) < count:
        replies += model.collect()
    return replies


def ask_like_the_release(model: ChatModel, prompt: Prompt, asked: list[list[Message]]) -> None:
    """A batch, its barrier, and a blocking pass of retries, again and again."""
    parse = AnswerParser(prompt)
    for start in range(0, len(asked), RELEASE_BATCH):
        batch = asked[start : start + RELEASE_BATCH]
        model.submit([Request(i, turns) for i, turns in enumerate(batch)])
        replies = collect(model, len(batch))
        unparsed = [reply for reply in replies if parse(reply.text) is None]
        retry = Message(role="user", content=prompt.retry)
        for reply in unparsed:
            said = Message(role="assistant", content=reply.text)
            model.submit([Request(reply.tag, [*batch[reply.tag], said, retry])])
        collect(model, len(unparsed))


@contextmanager
def engine(model: Path, **arguments: Any) -> Iterator[VLLMChatModel]:
    """vLLM in this process, gone afterwards."""
    loaded = VLLMChatModel(
        str(model),
        SAMPLING,
        dtype="float32",
        max_model_len=MAX_MODEL_LEN,
        engine_args={"enforce_eager": True, "max_num_seqs": AT_ONCE} | arguments,
    )
    try:
        yield loaded
    finally:
        loaded.close()
        gc.collect()


def begun(model: VLLMChatModel) -> VLLMChatModel:
    """The same engine, asked for one token of a begun answer."""
    direct = copy.copy(model)
    direct._sampling = DIRECT
    direct._parameters = sampling_parameters(DIRECT)
    return direct


@contextmanager
def server(model: Path) -> Iterator[str]:
    """vLLM's own server on loopback; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", str(MAX_MODEL_LEN), "--enforce-eager"]
    command += ["--max-num-seqs", str(AT_ONCE), "--disable-uvicorn-access-log"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"VLLM_SERVER_DEV_MODE": "1"},  # lets the prefix cache be emptied
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5)
                break
            except OSError:
                time.sleep(1)
        yield url
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def cpu_seconds() -> dict[int, float]:
    """CPU time so far of this process, the engine and the server, by process."""
    me = psutil.Process()
    times = {process.pid: process.cpu_times() for process in (me, *me.children(recursive=True))}
    return {number: spent.user + spent.system for number, spent in times.items()}


class Counted:
    """Counts what a model writes."""

    def __init__(self, model: ChatModel) -> None:
        self.model, self.max_model_len, self.count = model, model.max_model_len, 0
        self.submit, self.close = model.submit, model.close

    def collect(self) -> list[Reply]:
        replies = self.model.collect()
        self.count += sum(reply.new_tokens for reply in replies)
        return replies


def labelled(pairs: PairsDataset, prompt: Prompt, model: ChatModel, **options: Any) -> int:
    """New tokens that labelling all pairs takes."""
    counted = Counted(model)
    label(pairs, prompt, counted, **options)
    return counted.count


def asked_as_before(model: ChatModel, prompt: Prompt, asked: list[list[Message]]) -> int:
    """New tokens of :func:`ask_like_the_release`."""
    counted = Counted(model)
    ask_like_the_release(counted, prompt, asked)
    return counted.count


def bare_generation(model: VLLMChatModel, asked: list[list[Message]]) -> Way:
    """vLLM's generate over prompts that were tokenized before; the value: new tokens."""
    tokenizer = model._llm.get_tokenizer()
    texts = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    tokens = [
        {"prompt_token_ids": tokenizer.encode(text, add_special_tokens=False)} for text in texts
    ]

    def generate() -> int:
        outputs = model._llm.generate(tokens, model._parameters, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    return generate


class Work(NamedTuple):
    """What is to be labelled, in full and in the shape of bare prompts."""

    pairs: PairsDataset
    warm_up: PairsDataset
    prompt: Prompt
    unique: list[list[Message]]
    every: list[list[Message]]


Way = Callable[[], int]  # does the work; the value: new tokens
Ways = dict[str, Way]  # by name


@contextmanager
def in_process(path: Path, work: Work) -> Iterator[Ways]:
    """An engine as we load it."""
    with engine(path) as model:
        direct = begun(model)
        label(work.warm_up, work.prompt, model)
        ways: Ways = {
            "bare": bare_generation(model, work.unique),
            "ours": partial(labelled, work.pairs, work.prompt, model),
            "direct": partial(labelled, work.pairs, work.prompt, direct, direct=True),
        }

        def cold(way: Way) -> int:
            model._llm.reset_prefix_cache()
            return way()

        yield {name: partial(cold, way) for name, way in ways.items()}


@contextmanager
def through_http(path: Path, work: Work) -> Iterator[Ways]:
    """vLLM's server, asked by our client."""
    with server(path) as url:
        model = OpenAIChatModel("tiny", SAMPLING, base_url=f"{url}/v1")
        label(work.warm_up, work.prompt, model)
        urllib.request.urlopen(f"{url}/reset_prefix_cache", data=b"")
        yield {"http": partial(labelled, work.pairs, work.prompt, model)}
        model.close()


@contextmanager
def as_the_release(path: Path, work: Work) -> Iterator[Ways]:
    """An engine without prefix cache, asked in batches."""
    with engine(path, enable_prefix_caching=False) as model:
        label(work.warm_up, work.prompt, model)
        yield {
            "release": partial(asked_as_before, model, work.prompt, work.unique),
            "release_every": partial(asked_as_before, model, work.prompt, work.every),
        }


PLACES = {
    in_process: ("bare", "ours", "direct"),
    through_http: ("http",),
    as_the_release: ("release", "release_every"),
}


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds, CPU seconds and new tokens by way and round.

    One engine at a time: idle ones take the CPU from a client. Their threads are bound to a core,
    which makes Linux (autogroups) starve whatever belongs to the same session.
    """
    pairs, prompt = write_pairs(folder / "pairs", arguments.pairs), load_shipped_prompt(*DEFAULT)
    work = Work(
        pairs,
        write_pairs(folder / "warm", 50, seed=9),
        prompt,
        conversations(pairs, prompt, dedupe=True),
        conversations(pairs, prompt, dedupe=False),
    )
    took = {"prompts": [float(len(work.unique)), float(len(work.every))]}
    for number in range(arguments.rounds):
        for load, names in PLACES.items():
            # Asking about every pair takes by far the longest: once.
            wanted = [
                n for n in names if n in arguments.ways and not (n == "release_every" and number)
            ]
            if not wanted:
                continue
            with load(arguments.model, work) as ways:
                for name in wanted:
                    keep(took, name, ways[name])
    return took


def keep(took: dict[str, list[float]], name: str, work: Way) -> None:
    """Do ``work``, and note what it took."""
    started, spent = time.perf_counter(), cpu_seconds()
    tokens = work()
    seconds = time.perf_counter() - started
    # An engine of before may end only now, and take its time with it.
    cpu = sum(now - spent.get(number, 0.0) for number, now in cpu_seconds().items())
    for kind, value in (("", seconds), ("_cpu", cpu), ("_tokens", tokens)):
        took.setdefault(name + kind, []).append(value)
    print(f"{name:14} {seconds:8.1f} s {cpu:8.1f} CPU s {tokens:8} tokens", file=sys.stderr)


def rates(took: dict[str, list[float]], per: str) -> dict[str, float]:
    """Median over the rounds of labelled prompts a second (``per`` "") or of new tokens."""
    unique, every = took["prompts"]
    result = {}
    for name in [name for name in WAYS if name in took]:
        prompts = every if name == "release_every" else unique
        amounts = took[f"{name}_tokens"] if per else [prompts] * len(took[name])
        result[name] = statistics.median(n / s for n, s in zip(amounts, took[name]))
    return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=Path, help="the tiny model; default: train one")
    parser.add_argument("--layers", type=int, default=LAYERS, help="of the model, once deepened")
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="to time; all")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.model is None:
            arguments.model = folder / "tiny"
            command = [sys.executable, "-m", "benchmarks.tiny_chat_model"]
            subprocess.run([*command, "--output", str(arguments.model)], check=True)
        arguments.model = deepen(arguments.model, folder / "deep", arguments.layers)
        took = measure(arguments, folder)
    speed, tokens = rates(took, ""), rates(took, "tokens")
    figures: dict[str, Any] = {"pairs": arguments.pairs, "layers": arguments.layers}
    figures |= {name: [round(value, 2) for value in values] for name, values in took.items()}
    cpu = {name: statistics.median(took[f"{name}_cpu"]) for name in speed}
    ratios = {
        f"{one} / {other}{what}": rate[one] / rate[other]
        for one, other in (("ours", "bare"), ("http", "bare"), ("ours", "release"))
        for what, rate in (("", speed), (", new tokens", tokens), (", CPU time", cpu))
        if one in speed and other in speed
    }
    if "direct" in speed and "ours" in speed:
        ratios["direct / ours"] = speed["direct"] / speed["ours"]
    if "release_every" in speed and "ours" in speed:  # of pairs: the release asks about each
        every = took["release_every"][0] / statistics.median(took["ours"])
        ratios["ours / release, which asks every pair"] = every
    report("annotation", figures, {name: round(value, 3) for name, value in ratios.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
