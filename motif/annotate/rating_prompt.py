"""Prompts that rate one message: worked examples, the message last, one word as the answer."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motif.annotate.chat import Message
from motif.annotate.prompt_file import PromptFile

KEYS = ("version", "system", "ratings", "goals", "examples")
NO_MESSAGE = "(no message)"  # how an observation without one is shown


@dataclass(frozen=True)
class RatingPrompt:
    """One wording with one goal filled in."""

    version: str
    system: str
    values: dict[str, float]  # what each answer is worth
    examples: dict[str, str]  # messages, and the answers to them
    system_turn: bool = True  # if not, the first message begins with the system's text

    @property
    def digest(self) -> str:
        """A name for all that ratings depend on."""
        content = json.dumps(self.__dict__, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def asked_digest(self) -> str:
        """A name for the texts that the model sees."""
        seen = [self.system, list(self.examples.items()), self.system_turn, list(self.values)]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]

    def conversation(self, caption: str) -> list[Message]:
        """The turns that ask for the rating of ``caption``; all but the last are the same."""
        turns = []
        for message, answer in self.examples.items():
            turns += [Message(role="user", content=message)]
            turns += [Message(role="assistant", content=answer)]
        turns.append(Message(role="user", content=caption or NO_MESSAGE))
        if self.system_turn:
            return [Message(role="system", content=self.system), *turns]
        turns[0]["content"] = f"{self.system}\n\n{turns[0]['content']}"
        return turns

    def masses(self, first_token: Sequence[tuple[str, float]]) -> list[float]:
        """Probability of each answer, from the candidates for the first token.

        A candidate counts for an answer if it begins that one and no other.
        """
        masses = dict.fromkeys(self.values, 0.0)
        for text, log_probability in first_token:
            word = text.strip().strip("\"'*`").lower()
            meant = [answer for answer in masses if word and answer.lower().startswith(word)]
            if len(meant) == 1:
                masses[meant[0]] += math.exp(log_probability)
        return list(masses.values())

    def rating(self, masses: Sequence[float]) -> float:
        """What the answers' probabilities amount to.

        Of two answers the log-odds of the better one, so that with ratings a and b the message of
        the first is the better one with the probability 1 / (1 + exp(b − a)) (Bradley-Terry); of
        more, the mean of their values.
        """
        values = list(self.values.values())
        if len(values) == 2:
            worse, better = masses if values[0] < values[1] else reversed(masses)
            least = 1e-6  # what is not among the candidates is rarer than they are
            return math.log(max(better, least) / max(worse, least))
        return sum(map(math.prod, zip(masses, values))) / sum(masses)


def load_rating_prompt(path: Path, goal_key: str, *, system_prompt: bool = True) -> RatingPrompt:
    """Read a prompt file for ratings and fill in one of its goals.

    Raises:
        ConfigError: the file is missing, is no YAML, lacks a key, or has a wrong one (the message
            names the line); or it has no such goal.
    """
    file = PromptFile(path, KEYS)
    version, system = file.text("version").strip(), file.text("system").strip()
    goal = " ".join(file.goal(file.texts("goals"), goal_key).split())
    if "$goal" not in system:
        raise file.error(file.line("system"), "'system' lacks the placeholder $goal")
    values = {}
    for answer, worth in file.texts("ratings").items():
        try:
            values[answer] = float(worth)
        except ValueError:
            problem = f"{answer!r} must be worth a number, not {worth!r}"
            raise file.error(file.line("ratings"), problem) from None
    if len(set(values.values())) < 2 or not all(map(math.isfinite, values.values())):
        raise file.error(file.line("ratings"), "'ratings' needs answers of two values or more")
    examples = file.nested_texts("examples").get(goal_key, {})
    for message, answer in examples.items():
        if answer not in values:
            problem = f"the answer to {message!r} is {answer!r}; there are: {', '.join(values)}"
            raise file.error(file.line("examples"), problem)
    filled = re.sub(r"[ \t]+", " ", system.replace("$goal", goal)).strip()
    return RatingPrompt(version, filled, values, examples, system_prompt)
