"""A dict of numbers in a Python file, read as text: the file is parsed and never run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from bnstats.claims.parsing import ParsingError
from bnstats.errors import hint_for

_CHANGING = ("update", "setdefault", "pop", "popitem", "clear")  # methods of a dict


class Entry(NamedTuple):
    """A key of a dict and its value as written, with the spans where both stand in the text."""

    key: str
    value: str
    key_span: tuple[int, int]
    value_span: tuple[int, int]


def read_dict(text: str, name: str) -> list[Entry]:
    """Return the entries of the dict that a module assigns to a name.

    ``NAME = {…}``, ``NAME: T = {…}``, ``dict(…=…)`` and ``MappingProxyType({…})`` are understood.
    A string is its text without the quotes, every other key and value the text that stands there.

    Raises
    ------
    ParsingError
        The text is no Python, assigns no such dict, or changes it elsewhere.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's author's
            tree = ast.parse(text)
    except SyntaxError as error:
        raise ParsingError(str(error.msg), error.lineno, error.offset) from None
    except (ValueError, RecursionError, MemoryError):
        raise ParsingError("it is no Python, or nested too deeply") from None
    dicts = dict(_dicts(tree))
    if name not in dicts:
        known = [n for n, node in dicts.items() if node.keys]
        what = f"no dict '{name[:60]}' is assigned in it" if name else "name the dict in it"
        hint = hint_for(name, known) or f"its dicts: {', '.join(known[:8])}"
        raise ParsingError(what, hint=hint if known else None)
    if changed := _changed(tree, name):
        what = f"{name} is changed after it was written, and no code is run"
        raise ParsingError(what, changed.lineno, changed.col_offset + 1)
    found = _Text(text)
    keys, values = dicts[name].keys, dicts[name].values
    return [_entry(found, key, value) for key, value in zip(keys, values, strict=True)]


def _dicts(tree: ast.Module) -> Iterator[tuple[str, ast.Dict]]:
    """Yield the dicts that the statements of a module assign, by name."""
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        found = _dict(node.value)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and found is not None:
                yield target.id, found


def _dict(node: ast.expr | None) -> ast.Dict | None:
    match node:
        case ast.Dict():
            return node
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=words):
            keys: list[ast.expr | None] = [
                ast.Constant(w.arg, lineno=w.lineno, col_offset=w.col_offset) if w.arg else None
                for w in words
            ]
            return ast.Dict(keys, [w.value for w in words])
        case ast.Call(args=[inner], keywords=[]) if _called(node).endswith("MappingProxyType"):
            return _dict(inner)
    return None


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def _changed(tree: ast.Module, name: str) -> Any:
    """Return a statement that changes a dict or assigns its name again, or None."""

    def is_it(node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == name

    assigned = 0
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store() | ast.Del()) if is_it(node):
                assigned += 1
                if assigned > 1:
                    return node
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) if is_it(value):
                return node
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if is_it(value):
                if attr in _CHANGING:
                    return node
    return None


def _entry(text: _Text, key: ast.expr | None, value: ast.expr) -> Entry:
    value_span = text.span(value)
    if key is None:  # **others
        return Entry(f"**{text[value_span]}", text[value_span], value_span, value_span)
    if isinstance(key, ast.Constant) and key.end_lineno is None:  # dict(relu=…)
        start = text.at(key.lineno, key.col_offset)
        key_span = (start, start + len(str(key.value)))
    else:
        key_span = text.span(key)
    return Entry(_said(text, key, key_span), _said(text, value, value_span), key_span, value_span)


def _said(text: _Text, node: ast.expr, span: tuple[int, int]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return text[span]


class _Text:
    """A text, in which nodes of its tree stand at lines and bytes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", text))]

    def __getitem__(self, span: tuple[int, int]) -> str:
        return self._text[span[0] : span[1]]

    def at(self, line: int, byte: int) -> int:
        start = self._lines[line - 1]
        end = self._lines[line] if line < len(self._lines) else len(self._text)
        return start + len(self._text[start:end].encode()[:byte].decode(errors="ignore"))

    def span(self, node: ast.expr) -> tuple[int, int]:
        start = self.at(node.lineno, node.col_offset)
        return start, self.at(node.end_lineno or node.lineno, node.end_col_offset or 0)
