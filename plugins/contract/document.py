"""A YAML document with the line of each value.

It is made of events, without PyYAML's nodes in between, in less than half the time: the dag-processor reads all
contracts again and again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml
from yaml.resolver import Resolver

Location = tuple[str | int, ...]
"""The path of a value inside a document: keys of mappings and indexes of lists."""

TEXT = "tag:yaml.org,2002:str"
RESOLVER = Resolver()


class Lines(dict[Location, int]):
    """The line (from 1) of every value of a document; what has none of its own is where that stands which it is in."""

    def __missing__(self, at: Location) -> int:
        return self[at[:-1]] if at else 1


class DocumentError(ValueError):
    """What is wrong with a document, and where."""

    def __init__(self, line: int, at: Location, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.at = at


def read_document(text: str) -> tuple[Any, Lines]:
    """The document in `text`, lists as tuples, None where there is none, and the line of every value in it.

    :raises DocumentError: it is not YAML, not one document, or has what no plain data has.
    """
    try:
        reader = _Reader(text)
        return reader.document(), reader.lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DocumentError(line, (), f"is not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DocumentError(1, (), f"cannot be read: {error}") from error


class _Reader:
    """One pass over the events of a text."""

    def __init__(self, text: str) -> None:
        self.loader = yaml.CSafeLoader(text)
        self.next = self.loader.get_event
        self.anchors: dict[str, Any] = {}
        self.lines = Lines()

    def document(self) -> Any:
        self.next()  # the start of the stream
        if isinstance(self.next(), yaml.StreamEndEvent):
            return None
        root = self.next()
        self.lines[()] = _line(root)
        found = self._value(root, ())
        self.next()  # the end of the document
        after = self.next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise DocumentError(_line(after), (), "is not valid YAML: there is another document")
        return found

    def _value(self, event: yaml.Event, at: Location) -> Any:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value = self._scalar(event, at)
        elif kind is yaml.MappingStartEvent:
            value = self._mapping(at)
        elif kind is yaml.SequenceStartEvent:
            value = self._sequence(at)
        elif event.anchor in self.anchors:
            return self.anchors[event.anchor]
        else:
            raise DocumentError(_line(event), at, f"*{event.anchor} is the alias of no value before it")
        if event.anchor:
            self.anchors[event.anchor] = value
        return value

    def _scalar(self, event: yaml.ScalarEvent, at: Location) -> Any:
        value = event.value
        tag = event.tag or (_tag(value) if event.implicit[0] else TEXT)
        if tag == TEXT:
            return value
        try:
            return self.loader.construct_object(yaml.ScalarNode(tag, value, event.start_mark, event.end_mark))
        except ValueError as error:
            raise DocumentError(_line(event), at, f"{value!r}: {error}") from None

    def _mapping(self, at: Location) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        while type(event := self.next()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent:
                raise DocumentError(_line(event), at, "a key must be a text")
            key = self._scalar(event, at)
            below = (*at, key)
            if key in mapping:
                raise DocumentError(_line(event), below, "is given twice")
            self.lines[below] = _line(event)
            mapping[key] = self._value(self.next(), below)
        return mapping

    def _sequence(self, at: Location) -> tuple[Any, ...]:
        items: list[Any] = []
        while type(event := self.next()) is not yaml.SequenceEndEvent:
            below = (*at, len(items))
            self.lines[below] = _line(event)
            items.append(self._value(event, below))
        return tuple(items)


def _line(event: yaml.Event) -> int:
    line: int = event.start_mark.line
    return line + 1


@lru_cache(maxsize=4096)
def _tag(plain: str) -> str:
    """What a text without quotes is taken for; contracts say few words, and many times."""
    return str(RESOLVER.resolve(yaml.ScalarNode, plain, (True, False)))
