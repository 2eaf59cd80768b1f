"""What a labelled pair costs, by how a model is asked: to rate, to answer, to think first.

    python -m benchmarks.annotation_modes --model FOLDER --pairs 2000 200 40

The same first pairs of a dataset for all three, from an empty cache, one engine after the other,
without the time to load it. The more pairs, the more messages repeat: a rating is asked once a
message, the others once a couple of messages in both orders. With ``--bare ROUNDS``: ratings
against vLLM's own generate over the same prompts, tokenized before, in turn, on one engine.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.annotation import Kept, bare_generation
from benchmarks.report import report
from motif.annotate.assemble import asking_options, make_chat_model, make_rating_prompt
from motif.annotate.cache import AnswerCache
from motif.annotate.config import AnnotationConfig
from motif.annotate.engine_vllm import VLLMChatModel
from motif.annotate.rating import RatingAnnotator
from motif.annotate.stage import make_annotator
from motif.pairs_dataset import PairsDataset

MODES: dict[str, dict[str, Any]] = {
    "rating": {"answer_mode": "rating"},
    "direct": {"answer_mode": "direct", "prompt_version": "short"},
    "thoughts": {},
}
ENGINE = '{"enforce_eager": true, "block_size": 32, "max_num_batched_tokens": 2048}'


def cost(config: AnnotationConfig, count: int) -> dict[str, float]:
    """Seconds, tokens read and tokens written for each of the first ``count`` pairs."""
    pairs = PairsDataset(config.directory)
    with tempfile.TemporaryDirectory() as cache:
        config = dataclasses.replace(config, cache_dir=Path(cache))
        with contextlib.closing(make_annotator(config)) as annotator:
            started = time.perf_counter()
            read = written = 0
            for answers in tqdm(annotator.annotate(pairs, np.arange(count)), unit="block"):
                read, written = read + answers.tokens_read, written + answers.tokens
            seconds = time.perf_counter() - started - annotator.seconds_to_load
    return {"seconds": seconds / count, "read": read / count, "written": written / count}


def against_bare(config: AnnotationConfig, count: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of the bare engine and of ours for the messages of ``count`` pairs, by round."""
    pairs, prompt = PairsDataset(config.directory), make_rating_prompt(config)
    options = asking_options(config)
    model = make_chat_model(config)
    assert isinstance(model, VLLMChatModel)
    captioned = options.captioned(pairs, np.arange(count))
    texts = dict.fromkeys(text for pair in captioned for text in (pair.first, pair.second))
    generate = bare_generation(model, [prompt.conversation(text) for text in texts])

    def rate() -> None:
        with tempfile.TemporaryDirectory() as folder:
            cache = AnswerCache(Path(folder))
            kept = lambda: Kept(model)  # noqa: E731
            annotator = RatingAnnotator(prompt, kept, cache, source={}, options=options)
            for _ in annotator.annotate(pairs, np.arange(count)):
                pass

    took: dict[str, list[float]] = {"bare": [], "ours": []}
    ways: dict[str, Callable[[], Any]] = {"bare": generate, "ours": rate}
    for name, way in list(ways.items()) * (rounds + 1):  # the first round warms up
        model._llm.reset_prefix_cache()
        started = time.perf_counter()
        way()
        took[name].append(time.perf_counter() - started)
        print(name, took[name][-1], file=sys.stderr)
    model.close()
    return {name: seconds[1:] for name, seconds in took.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--directory", type=Path, default=Path("motif_dataset"))
    parser.add_argument("--pairs", type=int, nargs=3, default=(2000, 200, 40))
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--bare", type=int, metavar="ROUNDS")
    arguments = parser.parse_args(argv)
    config = AnnotationConfig(
        directory=arguments.directory,
        model=arguments.model,
        dtype=arguments.dtype,
        max_model_len=2048,
        engine_args=ENGINE,
    )
    if arguments.bare:
        rating = dataclasses.replace(config, **MODES["rating"])
        took = against_bare(rating, arguments.pairs[0], arguments.bare)
        bare, ours = (statistics.median(took[name]) for name in ("bare", "ours"))
        report("annotation_modes", took, {"ours / bare, ratings a second": round(bare / ours, 3)})
        return 0
    costs = {}
    for (mode, flags), count in zip(MODES.items(), arguments.pairs):
        costs[mode] = cost(dataclasses.replace(config, **flags), count)
        print(mode, costs[mode], file=sys.stderr)
    ratios = {
        f"rating / {mode}, {what}": round(costs["rating"][what] / costs[mode][what], 4)
        for mode in ("direct", "thoughts")
        for what in ("seconds", "read", "written")
    }
    report("annotation_modes", {"pairs": list(arguments.pairs), **costs}, ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())
