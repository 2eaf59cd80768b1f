"""How fast pairs are labelled, against vLLM alone.

    python -m benchmarks.annotation --model FOLDER

Needs vllm (`make test-vllm` makes an environment with its CPU build) and a chat model, for pairs
with the distribution of collected ones. Each engine is loaded before its clock starts, alone;
rounds alternate; medians of new tokens a second.

a  bare     vLLM's generate over the unique prompts, tokenized before, in one call: the limit
b  ours     the annotator, vLLM in this process
c  http     the annotator, vLLM's server on loopback
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
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.report import report
from benchmarks.synthetic_pairs import write_pairs
from motif.annotate.cache import AnswerCache
from motif.annotate.captions import captioned_pairs
from motif.annotate.chat import ChatModel, Message, Reply, Sampling
from motif.annotate.engine_openai import OpenAIChatModel
from motif.annotate.engine_vllm import VLLMChatModel
from motif.annotate.language_model import AskingOptions, LanguageModelAnnotator
from motif.annotate.prompt import Prompt, load_shipped_prompt
from motif.pairs_dataset import PairsDataset

SAMPLING = Sampling(max_new_tokens=128)
ENGINE = {"max_model_len": 1024, "enforce_eager": True, "max_num_seqs": 128, "block_size": 32}
Way = Callable[[], int]  # does the work; the value: new tokens


class Kept:
    """A chat model that counts what it writes, and outlives its annotators: loading isn't timed."""

    def __init__(self, model: ChatModel) -> None:
        self.model, self.max_model_len, self.count = model, model.max_model_len, 0
        self.submit = model.submit

    def collect(self) -> list[Reply]:
        """What the model has, counted."""
        replies = self.model.collect()
        self.count += sum(reply.new_tokens for reply in replies)
        return replies

    def close(self) -> None:
        """Stay open."""


def label(pairs: PairsDataset, prompt: Prompt, model: ChatModel) -> int:
    """Label all pairs with our annotator and an empty cache; the new tokens that this takes."""
    kept = Kept(model)
    with tempfile.TemporaryDirectory() as folder:
        cache, how = AnswerCache(Path(folder)), AskingOptions()
        annotator = LanguageModelAnnotator(prompt, lambda: kept, cache, source={}, options=how)
        for _ in annotator.annotate(pairs, np.arange(len(pairs))):
            pass
    return kept.count


class Work(NamedTuple):
    """What is to be labelled."""

    model: str
    dtype: str
    pairs: PairsDataset
    warm_up: PairsDataset
    prompt: Prompt

    def conversations(self) -> list[list[Message]]:
        """What there is to ask: each couple of different captions once."""
        everything = captioned_pairs(self.pairs, np.arange(len(self.pairs)))
        captions = [c[1:] for c in everything if c[1] != c[2]]
        return [self.prompt.conversation(*c) for c in dict.fromkeys(captions)]


def bare_generation(model: VLLMChatModel, asked: list[list[Message]]) -> Way:
    """vLLM's generate over prompts that were tokenized before; the value: new tokens."""
    tokenizer = model._llm.get_tokenizer()
    texts = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    tokens = [
        {"prompt_token_ids": tokenizer.encode(text, add_special_tokens=False)} for text in texts
    ]

    def generate() -> int:
        model._llm.reset_prefix_cache()
        outputs = model._llm.generate(tokens, model._parameters, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    return generate


@contextmanager
def in_process(work: Work) -> Iterator[dict[str, Way]]:
    """An engine as we load it."""
    model = VLLMChatModel(work.model, SAMPLING, dtype=work.dtype, engine_args=ENGINE)
    try:
        label(work.warm_up, work.prompt, model)
        bare = bare_generation(model, work.conversations())

        def ours() -> int:
            model._llm.reset_prefix_cache()
            return label(work.pairs, work.prompt, model)

        yield {"bare": bare, "ours": ours}
    finally:
        model.close()
        gc.collect()


@contextmanager
def through_http(work: Work) -> Iterator[dict[str, Way]]:
    """vLLM's own server on loopback, asked by our client."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", work.model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", work.dtype]
    for name, value in ENGINE.items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    process = subprocess.Popen(
        [*command, "--served-model-name", "judge", "--disable-uvicorn-access-log"],
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
        model = OpenAIChatModel("judge", SAMPLING, base_url=f"{url}/v1")
        label(work.warm_up, work.prompt, model)
        urllib.request.urlopen(f"{url}/reset_prefix_cache", data=b"")
        yield {"http": lambda: label(work.pairs, work.prompt, model)}
        model.close()
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def measure(work: Work, rounds: int) -> dict[str, list[float]]:
    """New tokens a second by way and round.

    One engine at a time: idle ones take the CPU from a client. Their threads are bound to a core,
    which makes Linux (autogroups) starve whatever belongs to the same session.
    """
    speeds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for load in (in_process, through_http):
            with load(work) as ways:
                for name, way in ways.items():
                    started = time.perf_counter()
                    tokens = way()
                    seconds = time.perf_counter() - started
                    speeds.setdefault(name, []).append(tokens / seconds)
                    print(f"{name:6} {seconds:8.1f} s {tokens:8} tokens", file=sys.stderr)
    return speeds


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", required=True, help="folder or hub id of a chat model")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_pairs(Path(folder, "pairs"), arguments.pairs)
        warm_up = write_pairs(Path(folder, "warm"), 50, seed=9)
        prompt = load_shipped_prompt("default", "defaultgoal")
        work = Work(arguments.model, arguments.dtype, pairs, warm_up, prompt)
        figures = {"pairs": len(pairs), "prompts": len(work.conversations())}
        speeds = measure(work, arguments.rounds)
    bare, *others = (statistics.median(values) for values in speeds.values())
    ratios = {f"{name} / bare": speed / bare for name, speed in zip(("ours", "http"), others)}
    report("annotation", {**figures, **speeds}, ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())
