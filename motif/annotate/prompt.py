"""Prompts as YAML files: a template, five goals, a retry question and an answer pattern.

The format is described in docs/annotation.md; ``motif/games/nethack/prompts`` holds ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from motif.annotate.chat import Message
from motif.annotate.prompt_file import PromptFile
from motif.errors import ConfigError
from motif.games.game import find_game

PLACEHOLDERS = ("goal", "caption_1", "caption_2")
ANSWERS = ("1", "2", "none")
MIRRORED = str.maketrans("([{<", ")]}>")
ANSWER_ENDS = ("", *"\"'`)]}>*.\n", '")', '"}', "')", "**")  # with which an answer may close
TEXTS = ("version", "system", "template", "retry", "answer_pattern", "direct_prefill")


@dataclass(frozen=True)
class Prompt:
    """One wording with one goal filled in."""

    version: str
    system: str | None  # None: no system turn is sent
    template: str  # the user's turn, with $caption_1 and $caption_2 left
    retry: str
    answer_pattern: str  # a regular expression whose one group is 1, 2 or none
    direct_prefill: str  # how the answer begins, up to the token that decides

    @property
    def digest(self) -> str:
        """A name for all the texts that can reach the model."""
        content = json.dumps(self.__dict__, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def asked_digest(self, *begun: str) -> str:
        """A name for the texts that the model sees, whatever is looked for in its answers.

        Args:
            begun: how a direct answer begins.
        """
        seen = [self.system, self.template, self.retry, *begun]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]

    def conversation(self, first: str, second: str) -> list[Message]:
        """The turns that open the conversation about two captions."""
        user = Template(self.template).substitute(caption_1=first, caption_2=second)
        turns = [Message(role="user", content=user)]
        if self.system is not None:
            turns.insert(0, Message(role="system", content=self.system))
        return turns


def answer_ends(prefill: str) -> list[str]:
    """With what an answer that begins with ``prefill`` may close: what it opens, too."""
    opened = re.findall(r"<(\w+)[^<>/]*>|\[(\w+)\]", prefill)
    tags = [f"</{angle}>" if angle else f"[/{square}]" for angle, square in reversed(opened)]
    brackets = re.findall(r"[(\[{<*\"'`]*$", prefill.rstrip())[0][::-1].translate(MIRRORED)
    closing = [*tags, "".join(tags), brackets]
    return [*ANSWER_ENDS, *(space + end for end in closing for space in ("", " ", "\n"))]


def prompt_versions(folder: Path, *, rating: bool = False) -> list[str]:
    """Names of the wordings in a game's folder of prompts: of pairs, or those that rate."""
    names = (path.stem for path in folder.glob("*.yaml"))
    return sorted(name for name in names if name.startswith("rating") == rating)


def shipped_prompt(version: str, *, game: str = "nethack", rating: bool = False) -> Path:
    """The file of one of a game's own wordings.

    Raises:
        ConfigError: there is no such version.
    """
    folder = find_game(game).prompts
    versions = prompt_versions(folder, rating=rating)
    if version not in versions:
        raise ConfigError(
            f"no prompt version {version!r}{' that rates' if rating else ''}; there are: "
            f"{', '.join(versions)}; for your own wording use --prompt-file FILE"
        )
    return folder / f"{version}.yaml"


def load_prompt(path: Path, goal_key: str, *, system_prompt: bool = True) -> Prompt:
    """Read a prompt file and fill in one of its goals.

    Raises:
        ConfigError: the file is missing, is no YAML, lacks a key, or has a wrong one, a wrong
            placeholder or pattern (the message names the line); or it has no such goal.
    """
    document = PromptFile(path, (*TEXTS, "goals"))
    texts = {key: document.text(key) for key in TEXTS}
    goals = document.texts("goals")
    goal = document.goal(goals, goal_key)
    _check_placeholders(document, "template", texts["template"])
    _check_pattern(document, "answer_pattern", texts["answer_pattern"], texts["direct_prefill"])
    # Only $goal is filled in here; the captions' own text is substituted later, and never scanned.
    kept = {"caption_1": "${caption_1}", "caption_2": "${caption_2}"}
    goal = goal.replace("$", "$$")
    template = _tidy(Template(_escape_twice(texts["template"])).substitute(goal=goal, **kept))
    return Prompt(
        version=texts["version"].strip(),
        system=texts["system"].strip() if system_prompt else None,
        template=template,
        retry=texts["retry"].strip(),
        answer_pattern=texts["answer_pattern"].strip(),
        direct_prefill=texts["direct_prefill"],
    )


def load_shipped_prompt(
    version: str, goal_key: str, *, game: str = "nethack", system_prompt: bool = True
) -> Prompt:
    """One of a game's own wordings.

    Raises:
        ConfigError: there is no such version or goal.
    """
    return load_prompt(shipped_prompt(version, game=game), goal_key, system_prompt=system_prompt)


def goal_sentence(version: str, goal_key: str, *, game: str) -> str:
    """A goal of one of a game's own wordings; empty if there is none such."""
    path = find_game(game).prompts / f"{version}.yaml"
    if not path.is_file():
        return ""
    goals = PromptFile(path, (*TEXTS, "goals", "ratings", "examples")).texts("goals")
    return goals.get(goal_key, "").strip()


def _escape_twice(template: str) -> str:
    """A literal ``$$`` must survive the first of two substitutions."""
    return template.replace("$$", "$$$$")


def _tidy(template: str) -> str:
    """No blanks before line ends (an empty goal leaves one), none around the whole."""
    return re.sub(r"[ \t]+$", "", template, flags=re.MULTILINE).strip()


def _check_placeholders(file: PromptFile, key: str, text: str) -> None:
    found = set()
    for match in Template.pattern.finditer(text):
        name = match["named"] or match["braced"]
        if name in PLACEHOLDERS:
            found.add(name)
        elif match["escaped"] is None:
            wrong = text[match.start() :].split()[0]
            raise file.error(
                file.line_of(key, text, match.start()),
                f"{wrong!r} is no placeholder; there are $goal, $caption_1, $caption_2, "
                "and $$ for a dollar sign",
            )
    missing = [name for name in PLACEHOLDERS if name not in found]
    if missing:
        raise file.error(file.line(key), f"{key!r} lacks the placeholder ${missing[0]}")


def _check_pattern(file: PromptFile, key: str, pattern: str, prefill: str) -> None:
    """It must be an expression with one group that finds each answer after ``prefill``."""
    try:
        expression = re.compile(pattern.strip(), re.IGNORECASE)
        groups = expression.groups
    except (re.error, RecursionError, OverflowError) as error:
        raise file.error(file.line(key), f"{key!r} is no regular expression: {error}") from None
    if groups != 1:
        raise file.error(
            file.line(key), f"{key!r} must have one group, around 1|2|none, but has {groups}"
        )
    for answer in ANSWERS:
        said = [f"{prefill}{answer}{end}" for end in answer_ends(prefill)]
        found = {match[1].lower() for text in said if (match := expression.search(text))}
        if answer not in found:
            raise file.error(
                file.line(key), f"{key!r} does not find the answer {answer} in {said[0]!r}"
            )
