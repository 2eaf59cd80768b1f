"""How fast pairs are labelled, against vLLM alone.

    python -m benchmarks.annotation

Needs vllm (`make test-vllm` makes an environment with its CPU build). The model is the tiny one of
tests/vllm with more layers, so that a token costs the engine more than it costs who asks, as with
real models; at least 64 new tokens an answer, on pairs with the distribution of collected ones.
Each engine is loaded before its clock starts, alone; rounds alternate; medians.

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
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.deeper_model import deepen
from benchmarks.report import report
from benchmarks.synthetic_pairs import write_pairs
from motif.annotate.cache import AnswerCache
from motif.annotate.captions import captioned_pairs
from motif.annotate.chat import ChatModel, Message, Reply, Sampling
from motif.annotate.engine_openai import OpenAIChatModel
from motif.annotate.engine_vllm import VLLMChatModel
from motif.annotate.language_model import (
    AskingOptions,
    LanguageModelAnnotator,
)
from motif.annotate.prompt import Prompt, load_shipped_prompt
from motif.pairs_dataset import PairsDataset

SAMPLING = Sampling(max_new_tokens=128)
MAX_MODEL_LEN = 1024
AT_ONCE = 128  # sequences in a batch; vLLM's defaults for the CPU differ: library 256, server 128
LAYERS = 12
DEFAULT = ("default", "defaultgoal")
WAYS = ("bare", "ours", "http")
TINY = Path(__file__).parents[1] / "tests/vllm/tiny_chat_model.py"


class Kept:
    """A chat model that outlives its annotators, so that loading is not measured."""

    def __init__(self, model: ChatModel) -> None:
        self.model, self.max_model_len = model, model.max_model_len
        self.submit, self.collect = model.submit, model.collect

    def close(self) -> None:
        """Stay open."""


def label(pairs: PairsDataset, prompt: Prompt, model: ChatModel) -> None:
    """Label all pairs with our annotator and an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        annotator = LanguageModelAnnotator(
            prompt,
            lambda: Kept(model),
            AnswerCache(Path(folder)),
            source={},
            options=AskingOptions(),
        )
        for _ in annotator.annotate(pairs, np.arange(len(pairs))):
            pass


def conversations(pairs: PairsDataset, prompt: Prompt) -> list[list[Message]]:
    """What there is to ask: each couple of different captions once."""
    captions = [c[1:] for c in captioned_pairs(pairs, np.arange(len(pairs))) if c[1] != c[2]]
    return [prompt.conversation(*c) for c in dict.fromkeys(captions)]


@contextmanager
def engine(model: Path) -> Iterator[VLLMChatModel]:
    """vLLM in this process, gone afterwards."""
    loaded = VLLMChatModel(
        str(model),
        SAMPLING,
        dtype="float32",
        max_model_len=MAX_MODEL_LEN,
        engine_args={"enforce_eager": True, "max_num_seqs": AT_ONCE},
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


class Counted:
    """Counts what a model writes."""

    def __init__(self, model: ChatModel) -> None:
        self.model, self.max_model_len, self.count = model, model.max_model_len, 0
        self.submit, self.close = model.submit, model.close

    def collect(self) -> list[Reply]:
        """What the model has, counted."""
        replies = self.model.collect()
        self.count += sum(reply.new_tokens for reply in replies)
        return replies


def labelled(pairs: PairsDataset, prompt: Prompt, model: ChatModel) -> int:
    """New tokens that labelling all pairs takes."""
    counted = Counted(model)
    label(pairs, prompt, counted)
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
    """What is to be labelled, as pairs and in the shape of bare prompts."""

    pairs: PairsDataset
    warm_up: PairsDataset
    prompt: Prompt
    unique: list[list[Message]]


Way = Callable[[], int]  # does the work; the value: new tokens
Ways = dict[str, Way]  # by name


@contextmanager
def in_process(path: Path, work: Work) -> Iterator[Ways]:
    """An engine as we load it."""
    with engine(path) as model:
        label(work.warm_up, work.prompt, model)
        ways: Ways = {
            "bare": bare_generation(model, work.unique),
            "ours": partial(labelled, work.pairs, work.prompt, model),
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


PLACES = {
    in_process: ("bare", "ours"),
    through_http: ("http",),
}


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds and new tokens by way and round.

    One engine at a time: idle ones take the CPU from a client. Their threads are bound to a core,
    which makes Linux (autogroups) starve whatever belongs to the same session.
    """
    pairs, prompt = write_pairs(folder / "pairs", arguments.pairs), load_shipped_prompt(*DEFAULT)
    work = Work(
        pairs,
        write_pairs(folder / "warm", 50, seed=9),
        prompt,
        conversations(pairs, prompt),
    )
    took = {"prompts": [float(len(work.unique))]}
    for _ in range(arguments.rounds):
        for load, names in PLACES.items():
            wanted = [name for name in names if name in arguments.ways]
            if not wanted:
                continue
            with load(arguments.model, work) as ways:
                for name in wanted:
                    keep(took, name, ways[name])
    return took


def keep(took: dict[str, list[float]], name: str, work: Way) -> None:
    """Do ``work``, and note what it took."""
    started = time.perf_counter()
    tokens = work()
    seconds = time.perf_counter() - started
    for kind, value in (("", seconds), ("_tokens", tokens)):
        took.setdefault(name + kind, []).append(value)
    print(f"{name:14} {seconds:8.1f} s {tokens:8} tokens", file=sys.stderr)


def rates(took: dict[str, list[float]], per: str) -> dict[str, float]:
    """Median over the rounds of labelled prompts a second (``per`` "") or of new tokens."""
    result = {}
    for name in [name for name in WAYS if name in took]:
        amounts = took[f"{name}_tokens"] if per else took["prompts"] * len(took[name])
        result[name] = statistics.median(n / s for n, s in zip(amounts, took[name]))
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
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
            command = [sys.executable, TINY, "--output", arguments.model]
            environment = os.environ | {"PYTHONPATH": str(TINY.parents[2])}
            subprocess.run(command, check=True, env=environment)
        arguments.model = deepen(arguments.model, folder / "deep", arguments.layers)
        took = measure(arguments, folder)
    speed, tokens = rates(took, ""), rates(took, "tokens")
    figures: dict[str, Any] = {"pairs": arguments.pairs, "layers": arguments.layers}
    figures |= {name: [round(value, 2) for value in values] for name, values in took.items()}
    ratios = {
        f"{one} / {other}{what}": rate[one] / rate[other]
        for one, other in (("ours", "bare"), ("http", "bare"))
        for what, rate in (("", speed), (", new tokens", tokens))
        if one in speed and other in speed
    }
    report("annotation", figures, {name: round(value, 3) for name, value in ratios.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
