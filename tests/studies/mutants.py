"""Mutants of a module: cosmic-ray's operators, applied to one top-level statement at a time."""

from __future__ import annotations

import ast
import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import String

# Each operator's nearest neighbour, the change that is hardest to see; other exchanges, such as %
# for ×, fail in any test that runs them and would flatter the score.
_EXCHANGED = {
    "Binary": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Div Mod_FloorDiv Pow_Mul",
    "Comparison": "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Eq_NotEq NotEq_Eq"
    " Is_IsNot IsNot_Is",
    "Unary": "USub_UAdd Delete_USub Delete_Not",
}


class _RangeEnd(Operator):
    """Opens a closed finite end of a parameter's legal range, and closes an open one."""

    _FLIPPED = str.maketrans("[]()", "()[]")

    def _ends(self, node):
        range_text = re.fullmatch(
            r'"[\[(]([^,()\[\]]+),([^,()\[\]]+)[\])]"', getattr(node, "value", "")
        )
        ends = range_text.groups() if isinstance(node, String) and range_text else ()
        return [at for at, end in zip((1, -2), ends, strict=False) if "inf" not in end]

    def mutation_positions(self, node):
        return [(node.start_pos, node.end_pos) for _ in self._ends(node)]

    def mutate(self, node, index):
        letters = list(node.value)
        at = self._ends(node)[index]
        letters[at] = letters[at].translate(self._FLIPPED)
        node.value = "".join(letters)
        return node

    @classmethod
    def examples(cls):
        return ()


def _operators() -> dict[str, Operator]:
    found: dict[str, Operator] = {"RangeEnd": _RangeEnd()}
    for name in operator_names():
        short = name.removeprefix("core/")
        kind, _, exchange = short.removeprefix("Replace").partition("Operator_")
        operator = get_operator(name)
        if (not exchange or exchange in _EXCHANGED[kind].split()) and not operator.arguments():
            found[short] = operator()
    return found


OPERATORS = _operators()


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes
    ----------
    line
        Where the change starts in the original, counted from one.
    was, now
        The lines that differ, stripped; ``now`` is empty where lines are removed.
    source
        The module, changed.
    statement
        The top-level statement that is changed, before and after.
    """

    path: Path
    operator: str
    line: int
    was: str
    now: str
    source: str
    statement: tuple[str, str] = ("", "")

    @property
    def file(self) -> str:
        """The module, from the package's folder on."""
        return file_of(self.path)

    @property
    def place(self) -> tuple[str, str]:
        """Names the change in an explanation: the file and the changed lines."""
        return self.file, self.now or f"without {self.was}"

    @cached_property
    def key(self) -> str:
        """Names the change whatever else is in the module: outcomes are kept under it."""
        before, after = self.statement
        return hashlib.sha256(f"{self.file}\n{before}\n{after}".encode()).hexdigest()[:16]


def file_of(path: Path) -> str:
    """Return a module of a subpackage by its room: layers/softmax.py."""
    return "/".join(path.parts[-2:])


def mutants_of(path: Path) -> list[Mutant]:
    """Return the mutants of a module that compile and differ from it and from each other."""
    pieces = [child.get_code() for child in get_ast(path.read_text(encoding="utf-8")).children]
    found: dict[str, Mutant] = {}
    for i, piece in enumerate(pieces):
        before, after = "".join(pieces[:i]), "".join(pieces[i + 1 :])
        nodes, meaning = list(ast_nodes(get_ast(piece))), ast.dump(ast.parse(piece))
        for name, operator in OPERATORS.items():
            count = sum(len(list(operator.mutation_positions(node))) for node in nodes)
            for occurrence in range(count):
                changed = mutate_code(piece, operator, occurrence)
                if changed not in found and _meaning(changed) not in (None, meaning):
                    mutated = before + changed + after
                    line, was, now = _difference(piece, changed)
                    line += before.count("\n")
                    statement = (piece, changed)
                    found[changed] = Mutant(path, name, line, was, now, mutated, statement)
    return list(found.values())


def _meaning(source: str) -> str | None:
    """Return the syntax tree, without parentheses and spaces; None if there is none."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return None


def _difference(old: str, new: str) -> tuple[int, str, str]:
    """Return the number of the first line that differs, and the lines that do, of both."""
    a, b = old.splitlines(), new.splitlines()
    while a and b and a[-1] == b[-1]:
        del a[-1], b[-1]
    same = next((i for i, (s, t) in enumerate(zip(a, b, strict=False)) if s != t), len(b))
    code = (i for i, line in enumerate([*a[same:], "end"]) if line.strip()[:1] not in ("", "#"))
    same += next(code)  # a removal starts there
    was, now = ("\n".join(line.strip() for line in lines[same:]) for lines in (a, b))
    return same + 1, was, now


def stratified(mutants: dict[Path, list[Mutant]], seed: int) -> list[Mutant]:
    """Order mutants at random so that every beginning holds the files in proportion."""
    keyed = []
    for path, each in mutants.items():
        shuffled = random.Random(f"{seed}:{file_of(path)}").sample(each, len(each))
        keyed += [((i + 0.5) / len(each), file_of(path), m) for i, m in enumerate(shuffled)]
    return [m for _, _, m in sorted(keyed, key=lambda item: item[:2])]


def statements(source: str) -> Iterator[tuple[range, bool]]:
    """Yield the own lines of every statement and whether importing the module runs it.

    The own lines of a compound statement are its head's, decorators included.
    """

    def walk(node: ast.AST, at_import: bool) -> Iterator[tuple[range, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.ExceptHandler):
                body = getattr(child, "body", None)
                last = body[0].lineno if body else child.end_lineno + 1
                yield range(first_line(child), max(last, child.lineno + 1)), at_import
                yield from walk(child, at_import and not isinstance(child, ast.FunctionDef))

    yield from walk(ast.parse(source), True)


def definition(source: str, line: int) -> range:
    """Return the lines of the statement of the module that holds a line."""
    whole = (range(first_line(s), s.end_lineno + 1) for s in ast.parse(source).body)
    return next(lines for lines in whole if line in lines)


def first_line(statement: ast.stmt) -> int:
    return min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
