"""Prompt files: YAML whose errors name the line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from motif.errors import ConfigError


class PromptFile:
    """A YAML mapping whose errors name their line.

    Args:
        keys: those that may be there.

    Raises:
        ConfigError: from any method: what is wrong, and where.
    """

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
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
            raise ConfigError(f"{path}, line 1: a mapping with the keys {', '.join(keys)}")
        for key, _ in root.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key.start_mark.line + 1, "a key must be a word")
        self._refuse_repeated_keys(root)
        self.nodes: dict[str, yaml.Node] = {key.value: value for key, value in root.value}
        self.key_lines: dict[str, int] = {
            key.value: key.start_mark.line + 1 for key, _ in root.value
        }
        self.last_line = len(content.splitlines())
        for key, line in self.key_lines.items():
            if key not in keys:
                raise self.error(line, f"unknown key {key!r}; known: {', '.join(sorted(keys))}")

    def line(self, key: str) -> int:
        """Where a key stands."""
        return self.key_lines[key]

    def error(self, line: int, problem: str) -> ConfigError:
        """What to raise about a line."""
        return ConfigError(f"{self.path}, line {line}: {problem}")

    def _node(self, key: str) -> yaml.Node:
        if key not in self.nodes:
            raise self.error(self.last_line, f"the file ends without the key {key!r}")
        return self.nodes[key]

    def text(self, key: str) -> str:
        """The text under a key."""
        node = self._node(key)
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.error(self.line(key), f"{key!r} must be a text")
        return str(node.value)

    def texts(self, key: str) -> dict[str, str]:
        """The mapping of names to texts under a key."""
        return self._texts(key, self._node(key))

    def nested_texts(self, key: str) -> dict[str, dict[str, str]]:
        """The mapping of names to such mappings under a key."""
        node = self._node(key)
        return {name: self._texts(name, value) for name, value in self._entries(key, node)}

    def goal(self, goals: Mapping[str, str], goal_key: str) -> str:
        """One of the file's goals, on one line."""
        if goal_key not in goals:
            raise ConfigError(
                f"no goal {goal_key!r} in {self.path}, line {self.line('goals')}; "
                f"there are: {', '.join(goals)}"
            )
        return goals[goal_key].strip()

    def _texts(self, key: str, node: yaml.Node) -> dict[str, str]:
        texts = {}
        for name, value in self._entries(key, node):
            if not isinstance(value, yaml.ScalarNode):
                raise self.error(value.start_mark.line + 1, f"{name!r} must be a text")
            texts[name] = str(value.value)
        return texts

    def _entries(self, key: str, node: yaml.Node) -> list[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise self.error(node.start_mark.line + 1, f"{key!r} must map names to texts")
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise self.error(name.start_mark.line + 1, f"{name.value!r} must be a text")
        self._refuse_repeated_keys(node)
        return [(name.value, value) for name, value in node.value]

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise self.error(key.start_mark.line + 1, f"{key.value!r} is there twice")
            seen.add(key.value)

    def line_of(self, key: str, text: str, position: int) -> int:
        """The file's line of a place in a text (of its first line, unless it is a | block)."""
        node = self.nodes[key]
        first = int(node.start_mark.line) + 1
        is_block = isinstance(node, yaml.ScalarNode) and node.style == "|"
        return first + 1 + text.count("\n", 0, position) if is_block else first
