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

import yaml

from motif.annotate.chat import Message
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


def prompt_versions(folder: Path) -> list[str]:
    """Names of the wordings in a game's folder of prompts."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_prompt(path: Path, goal_key: str, *, system_prompt: bool = True) -> Prompt:
    """Read a prompt file and fill in one of its goals.

    Raises:
        ConfigError: the file is missing, is no YAML, lacks a key, or has a wrong one, a wrong
            placeholder or pattern (the message names the line); or it has no such goal.
    """
    document = _Document(path)
    document.refuse_other_keys({*TEXTS, "goals"})
    texts = {key: document.text(key) for key in TEXTS}
    goals = document.texts("goals")
    document.check_placeholders("template", texts["template"])
    document.check_pattern("answer_pattern", texts["answer_pattern"], texts["direct_prefill"])
    if goal_key not in goals:
        raise ConfigError(
            f"no goal {goal_key!r} in {path}, line {document.line('goals')}; "
            f"there are: {', '.join(goals)}"
        )
    # Only $goal is filled in here; the captions' own text is substituted later, and never scanned.
    kept = {"caption_1": "${caption_1}", "caption_2": "${caption_2}"}
    goal = goals[goal_key].strip().replace("$", "$$")
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
    folder = find_game(game).prompts
    versions = prompt_versions(folder)
    if version not in versions:
        raise ConfigError(
            f"no prompt version {version!r}; there are: {', '.join(versions)}; "
            "for your own wording use --prompt-file FILE"
        )
    return load_prompt(folder / f"{version}.yaml", goal_key, system_prompt=system_prompt)


def goal_sentence(version: str, goal_key: str, *, game: str) -> str:
    """A goal of one of a game's own wordings; empty if there is none such."""
    folder = find_game(game).prompts
    if version not in prompt_versions(folder):
        return ""
    return _Document(folder / f"{version}.yaml").texts("goals").get(goal_key, "").strip()


def _escape_twice(template: str) -> str:
    """A literal ``$$`` must survive the first of two substitutions."""
    return template.replace("$$", "$$$$")


def _tidy(template: str) -> str:
    """No blanks before line ends (an empty goal leaves one), none around the whole."""
    return re.sub(r"[ \t]+$", "", template, flags=re.MULTILINE).strip()


class _Document:
    """A YAML mapping whose errors name their line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = path.read_text(encoding="utf-8")
            root = yaml.compose(content, Loader=yaml.SafeLoader)
        except OSError as error:
            raise ConfigError(f"cannot read the prompt file {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"the prompt file {path} is not UTF-8 text") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            problem = getattr(error, "problem", None) or "not valid"
            raise ConfigError(f"{path}, line {line}: no valid YAML: {problem}") from None
        except (ValueError, RecursionError) as error:  # of the parser's own
            raise ConfigError(f"{path}, line 1: no valid YAML: {error}") from None
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"{path}, line 1: a mapping with the keys {', '.join(TEXTS)}, goals")
        for key, _ in root.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key.start_mark.line + 1, "a key must be a word")
        self._refuse_repeated_keys(root)
        self.nodes: dict[str, yaml.Node] = {key.value: value for key, value in root.value}
        self.key_lines: dict[str, int] = {
            key.value: key.start_mark.line + 1 for key, _ in root.value
        }
        self.last_line = len(content.splitlines())

    def line(self, key: str) -> int:
        return self.key_lines[key]

    def error(self, line: int, problem: str) -> ConfigError:
        return ConfigError(f"{self.path}, line {line}: {problem}")

    def _node(self, key: str) -> yaml.Node:
        if key not in self.nodes:
            raise self.error(self.last_line, f"the file ends without the key {key!r}")
        return self.nodes[key]

    def text(self, key: str) -> str:
        node = self._node(key)
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.error(self.line(key), f"{key!r} must be a text")
        return str(node.value)

    def texts(self, key: str) -> dict[str, str]:
        node = self._node(key)
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise self.error(self.line(key), f"{key!r} must map names to texts")
        for name, value in node.value:
            if not (isinstance(name, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)):
                raise self.error(name.start_mark.line + 1, f"{name.value!r} must be a text")
        self._refuse_repeated_keys(node)
        return {name.value: str(value.value) for name, value in node.value}

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise self.error(key.start_mark.line + 1, f"{key.value!r} is there twice")
            seen.add(key.value)

    def refuse_other_keys(self, known: set[str]) -> None:
        for key, line in self.key_lines.items():
            if key not in known:
                raise self.error(line, f"unknown key {key!r}; known: {', '.join(sorted(known))}")

    def check_placeholders(self, key: str, text: str) -> None:
        found = set()
        for match in Template.pattern.finditer(text):
            name = match["named"] or match["braced"]
            if name in PLACEHOLDERS:
                found.add(name)
            elif match["escaped"] is None:
                wrong = text[match.start() :].split()[0]
                raise self.error(
                    self._line_of(key, text, match.start()),
                    f"{wrong!r} is no placeholder; there are $goal, $caption_1, $caption_2, "
                    "and $$ for a dollar sign",
                )
        missing = [name for name in PLACEHOLDERS if name not in found]
        if missing:
            raise self.error(self.line(key), f"{key!r} lacks the placeholder ${missing[0]}")

    def check_pattern(self, key: str, pattern: str, prefill: str) -> None:
        """It must be an expression with one group that finds each answer after ``prefill``."""
        try:
            expression = re.compile(pattern.strip(), re.IGNORECASE)
            groups = expression.groups
        except (re.error, RecursionError, OverflowError) as error:
            raise self.error(self.line(key), f"{key!r} is no regular expression: {error}") from None
        if groups != 1:
            raise self.error(
                self.line(key), f"{key!r} must have one group, around 1|2|none, but has {groups}"
            )
        for answer in ANSWERS:
            said = [f"{prefill}{answer}{end}" for end in answer_ends(prefill)]
            found = {match[1].lower() for text in said if (match := expression.search(text))}
            if answer not in found:
                raise self.error(
                    self.line(key), f"{key!r} does not find the answer {answer} in {said[0]!r}"
                )

    def _line_of(self, key: str, text: str, position: int) -> int:
        """The file's line of a place in a text (of its first line, unless it is a | block)."""
        node = self.nodes[key]
        first = int(node.start_mark.line) + 1
        is_block = isinstance(node, yaml.ScalarNode) and node.style == "|"
        return first + 1 + text.count("\n", 0, position) if is_block else first
