"""What labelling a chunk would cost: prompts, tokens, GPU-hours."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from motif.annotate.cache import AnswerCache, answer_key
from motif.annotate.chat import ChatModel, Reply, Request
from motif.annotate.language_model import Captioned
from motif.annotate.prompt import Prompt

TRIAL_PROMPTS = 64  # enough to fill a small engine, few enough to wait for
CHARACTERS_PER_TOKEN = 4  # of English prose, roughly; used only without a trial


@dataclass(frozen=True)
class Estimate:
    """The size of the work."""

    pairs: int
    ties: int  # identical captions: not asked
    answered: int  # pairs whose answer is in the cache
    prompts: int  # to be asked, each once
    characters: int  # of these prompts
    prompt_tokens: float | None = None  # mean of the trial
    new_tokens: float | None = None
    prompts_per_second: float | None = None

    def lines(self, num_gpus: int) -> list[str]:
        """For people."""
        lines = [
            f"pairs to label: {self.pairs:,}, of these {self.ties:,} ties by equal captions and "
            f"{self.answered:,} answered before (cache)",
            f"prompts to ask, each once: {self.prompts:,}",
        ]
        if self.prompt_tokens is None or self.new_tokens is None:
            tokens = self.characters / CHARACTERS_PER_TOKEN
            lines.append(
                f"prompt tokens: about {tokens:,.0f} ({CHARACTERS_PER_TOKEN} letters each)"
            )
        else:
            lines.append(
                f"tokens: {self.prompts * self.prompt_tokens:,.0f} of prompts, "
                f"{self.prompts * self.new_tokens:,.0f} new "
                f"({self.prompt_tokens:.0f} + {self.new_tokens:.0f} a prompt in the trial)"
            )
        if self.prompts_per_second:
            hours = self.prompts / self.prompts_per_second / 3600
            lines.append(
                f"at {self.prompts_per_second:.2f} prompts/s: {hours:.2f} hours, "
                f"{hours * num_gpus:.2f} GPU-hours on {num_gpus} GPU{'s' * (num_gpus > 1)}"
            )
        return lines


def estimate(
    captioned: Iterator[Captioned],
    prompt: Prompt,
    make_model: Callable[[], ChatModel],
    cache: AnswerCache,
    *,
    dedupe: bool,
    orders: int,
    rate: float | None,
) -> Estimate:
    """Count what would be asked; measure the speed on some of it, unless ``rate`` is given.

    Args:
        orders: prompts a pair: 2 for direct answers, which ask both orders.
        rate: prompts per second.
    """
    pairs = ties = answered = prompts = characters = 0
    trial: list[Request] = []
    seen = sqlite3.connect("")  # on disk: as many prompts as there may be
    seen.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
    for pair in captioned:
        pairs += 1
        if pair.first == pair.second:
            ties += 1
            continue
        sides = sorted((pair.first, pair.second)) if orders == 2 else (pair.first, pair.second)
        key = answer_key(*sides, *(() if dedupe else (str(pair.pair),)))
        if cache.get(key) is not None:
            answered += 1
            continue
        if dedupe and not seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount:
            continue
        turns = prompt.conversation(pair.first, pair.second)
        prompts += orders
        characters += orders * sum(len(turn["content"]) for turn in turns)
        if len(trial) < TRIAL_PROMPTS:
            trial.append(Request(len(trial), turns))
    seen.close()
    counted = Estimate(pairs, ties, answered, prompts, characters, prompts_per_second=rate)
    if rate is not None or not trial:
        return counted
    return _with_trial(counted, trial, make_model(), prompt if orders == 2 else None)


def _with_trial(
    counted: Estimate, trial: list[Request], model: ChatModel, prefill: Prompt | None
) -> Estimate:
    if prefill is not None:
        for request in trial:
            request.messages.append({"role": "assistant", "content": prefill.direct_prefill})
    try:
        model.submit(trial[:1])
        model.collect()  # the first answer pays for warming up
        started = time.perf_counter()
        replies: list[Reply] = []
        model.submit(trial)
        while len(replies) < len(trial):
            replies += model.collect()
        seconds = time.perf_counter() - started
    finally:
        model.close()
    return Estimate(
        counted.pairs,
        counted.ties,
        counted.answered,
        counted.prompts,
        counted.characters,
        sum(reply.prompt_tokens for reply in replies) / len(replies),
        sum(reply.new_tokens for reply in replies) / len(replies),
        len(replies) / seconds,
    )
