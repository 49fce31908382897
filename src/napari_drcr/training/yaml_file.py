"""Untrusted YAML: plain values, within limits of time and memory. Cheap to import: no torch, no pydantic."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from napari_drcr.errors import InputError, shown
from napari_drcr.system.files import naming

LONGEST = 2**17  # bytes: thousands of scene names
DEEPEST = 16
LARGEST_INTEGER = 2**64


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values.

    Parameters
    ----------
    path : Path
        It may be untrusted.

    Returns
    -------
    object
        Texts, numbers, lists and dictionaries; None where it is empty.

    Raises
    ------
    InputError
        If it cannot be read, is damaged, longer than 128 KB or nested more than 16 deep, refers to values by aliases, or has a duplicate key.
    """
    with naming(path):
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise InputError(f"it is longer than {LONGEST // 1024} KB, which no configuration needs.")
        try:
            return yaml.load(content.decode("utf-8"), _Loader)
        except InputError:
            raise
        except Exception as error:  # Values of the wrong kind make it raise almost anything.
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise InputError(f"it is not a YAML file: {reason}.") from error


class _Loader(yaml.SafeLoader):
    """Rejects aliases, deep nesting and duplicate keys."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"the alias *{event.anchor:.40} in line {_line(event)} is not supported; write the value itself.")
        if self.depth == DEEPEST:
            raise InputError(f"line {_line(event)} is nested more than {DEEPEST} deep, which no configuration needs.")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        names = Counter(key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode))
        if twice := [name for name, times in names.items() if times > 1]:
            raise InputError(f"{shown(twice[0])} is there twice, from line {_line(node)} on; keep one of them.")
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (yaml.YAMLError, InputError):
            raise
        except Exception as error:  # Those of dates and numbers raise almost anything.
            kind = node.tag.rpartition(":")[2]
            raise InputError(f"line {_line(node)} holds {shown(node.value)}, which cannot be read as {kind}.") from error
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise InputError(f"line {_line(node)} holds the number {shown(node.value)}, which is too large.")
        return value


def _line(place: Any) -> int:
    return int(place.start_mark.line) + 1
