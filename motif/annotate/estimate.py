"""What labelling a chunk would cost: prompts, tokens, GPU-hours."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from motif.annotate.cache import AnswerCache
from motif.annotate.captions import Captioned
from motif.annotate.chat import ChatModel, Message, Reply, Request

TRIAL_PROMPTS = 64  # enough to fill a small engine, few enough to wait for
CHARACTERS_PER_TOKEN = 4  # of English prose, roughly; used only without a trial


@dataclass
class Estimate:
    """The size of the work."""

    pairs: int = 0
    ties: int = 0  # identical captions: not asked
    answered: int = 0  # pairs whose answer is in the cache
    prompts: int = 0  # to be asked, each once
    characters: int = 0  # of these prompts
    prompts_per_second: float | None = None
    prompt_tokens: float | None = None  # mean of the trial
    new_tokens: float = 0.0

    @property
    def tokens(self) -> float:
        """Of all prompts, about."""
        if self.prompt_tokens is None:
            return self.characters / CHARACTERS_PER_TOKEN
        return self.prompts * self.prompt_tokens

    def cost(self, price_in: float, price_out: float, longest: int) -> str:
        """What the tokens cost, for people.

        Args:
            price_in, price_out: of a million tokens of prompts, of answers.
            longest: tokens of an answer, which bound the cost without a trial.
        """
        prompts = self.tokens * price_in / 1e6
        if self.prompt_tokens is not None:
            answers = self.prompts * self.new_tokens * price_out / 1e6
            return f"price: {prompts + answers:,.2f} ({prompts:,.2f} + {answers:,.2f})"
        most = prompts + self.prompts * longest * price_out / 1e6
        return (
            f"price: {prompts:,.2f} for the prompts, {most:,.2f} with answers of {longest:,} tokens"
        )

    def lines(self, num_gpus: int) -> list[str]:
        """For people."""
        lines = [
            f"pairs to label: {self.pairs:,}, of these {self.ties:,} ties by equal captions and "
            f"{self.answered:,} answered before (cache)",
            f"prompts to ask, each once: {self.prompts:,}",
        ]
        if self.prompt_tokens is None:
            lines.append(
                f"prompt tokens: about {self.tokens:,.0f} ({CHARACTERS_PER_TOKEN} letters each)"
            )
        else:
            lines.append(
                f"tokens: {self.tokens:,.0f} of prompts, "
                f"{self.prompts * self.new_tokens:,.0f} new "
                f"({self.prompt_tokens:.0f} + {self.new_tokens:.0f} a prompt in the trial)"
            )
        if self.prompts_per_second:
            hours = self.prompts / self.prompts_per_second / 3600
            lines.append(
                f"at {self.prompts_per_second:.2f} prompts/s: {hours:.2f} hours"
                + f", {hours * num_gpus:.2f} GPU-hours on {num_gpus} GPU{'s' * (num_gpus > 1)}"
                * (num_gpus > 0)
            )
        return lines


def estimate(
    captioned: Iterator[Captioned],
    conversations: Callable[[Captioned], Mapping[bytes, list[list[Message]]]],
    make_model: Callable[[], ChatModel] | None,
    cache: AnswerCache,
    *,
    rate: float | None,
) -> Estimate:
    """Count what would be asked; measure the speed on some of it, unless ``rate`` is given.

    Args:
        conversations: what would be asked about a pair, by the key of the answer.
        make_model: for the trial; None: there can be none.
        rate: prompts per second.
    """
    counted = Estimate(prompts_per_second=rate)
    trial: list[Request] = []
    with contextlib.closing(sqlite3.connect("")) as seen:  # on disk: as many as there may be
        seen.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
        for pair in captioned:
            counted.pairs += 1
            if pair.first == pair.second:
                counted.ties += 1
                continue
            asked = conversations(pair)
            asked = {key: asked[key] for key in asked if cache.get(key) is None}
            counted.answered += not asked
            for key, about in asked.items():
                if not seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount:
                    continue
                for turns in about:
                    counted.prompts += 1
                    counted.characters += sum(len(turn["content"]) for turn in turns)
                    trial.append(Request(len(trial), turns))
                del trial[TRIAL_PROMPTS:]
    if rate is None and trial and make_model is not None:
        _try_out(counted, trial, make_model())
    return counted


def _try_out(counted: Estimate, trial: list[Request], model: ChatModel) -> None:
    """Measure tokens and speed on the requests of ``trial``."""
    with contextlib.closing(model):
        model.submit(trial[:1])
        model.collect()  # the first answer pays for warming up
        started = time.perf_counter()
        replies: list[Reply] = []
        model.submit(trial)
        while len(replies) < len(trial):
            replies += model.collect()
        seconds = time.perf_counter() - started
    counted.prompt_tokens = sum(reply.prompt_tokens for reply in replies) / len(replies)
    counted.new_tokens = sum(reply.new_tokens for reply in replies) / len(replies)
    counted.prompts_per_second = len(replies) / seconds
