"""Mutants of what importing does not run: a session of pytest stands ready and forks for each.

To import the package and to collect the tests takes seconds, and a test milliseconds. Where neither
has run the changed statement, both are done once, and a child only exchanges code of functions.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType

import pytest
from mutants import Mutant
from mutation_runs import (
    SOURCES,
    TEST_FILES,
    Judge,
    Known,
    first_tests,
    in_child,
    judge,
    run_pytest,
)

Exchange = dict[CodeType, CodeType]


def exchange(mutant: Mutant, known: Known) -> Exchange | None:
    """Return the code of functions before and after, or None where that would not be the mutant."""
    if not first_tests(mutant, known)[0]:
        return None
    before, after = _codes_of(mutant.path), dict(_codes(_compiled(mutant.source, mutant.path)))
    if before.keys() != after.keys() or len(set(before.values())) < len(before):
        return None
    if any(before[k].co_freevars != after[k].co_freevars for k in before):
        return None
    return {before[k]: after[k] for k in before}


@cache
def _codes_of(path: Path) -> dict[tuple[str, ...], CodeType]:
    return dict(_codes(_compiled(path.read_text(encoding="utf-8"), path)))


def _compiled(text: str, path: Path) -> CodeType:
    return compile(text, str(path), "exec", dont_inherit=True)


def _codes(
    code: CodeType, place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], CodeType]]:
    """Yield all code in a module, by the names and numbers of what it stands in."""
    yield place, code
    for i, inner in enumerate(c for c in code.co_consts if isinstance(c, CodeType)):
        yield from _codes(inner, (*place, f"{i} {inner.co_name}"))


class _Session:
    """Judges mutants once the tests are collected, in place of running these."""

    def __init__(
        self, todo: list[Mutant], known: Known, most: float, tell: Callable[[Mutant, dict], bool]
    ) -> None:
        self.todo, self.known, self.most, self.tell = todo, known, most, tell

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        files = {str(path) for path in SOURCES}
        self.functions = [
            f
            for f in gc.get_objects()
            if type(f) is FunctionType and f.__code__.co_filename in files
        ]
        gc.freeze()  # a collection in a child would copy every page
        for mutant in self.todo:
            if not self.tell(mutant, judge(mutant, self.known, self.most, self.attempt)):
                break
        return True

    def attempt(self, mutant: Mutant, plugin: Judge) -> int:
        changed = exchange(mutant, self.known) or {}
        for function in self.functions:
            if function.__code__.co_filename == str(mutant.path):
                function.__code__ = changed[function.__code__]
        items = [self.items[test] for test in plugin.rank if test in self.items]
        session = items[0].session
        session.config.pluginmanager.register(plugin)
        for item, after in zip(items, [*items[1:], None], strict=True):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return 1
        return 0


def judge_in_session(
    todo: list[Mutant], known: Known, most: float, tell: Callable[[Mutant, dict], bool]
) -> None:
    """Judge mutants that can be exchanged, until ``tell`` returns that there is no more time."""
    if not todo:
        return
    session = _Session(todo, known, most, tell)
    status, written = in_child(lambda _: run_pytest(map(str, TEST_FILES), session))
    if status:
        raise SystemExit(f"the session ended with status {status}\n{written}")
