"""What keeps the package simple: imports point down, files are short, everything is said."""

from __future__ import annotations

import ast
import doctest
import importlib
import io
import pkgutil
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import click
import pytest

import bnstats
from bnstats.layers import LAYERS, USER_LAYERS

ROOT = Path(bnstats.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
ENTRIES = {"__init__", "__main__"}  # the package itself: they export and start, nothing needs them
EXTRAS = {"torch", "array_api_compat", "jax"}

MOST_UNITS, MOST_LOOSE, MOST_LEVELS = 22, 8, 12
MOST_LINES, MOST_PARAMETERS = 250, 8


def unit_of(path: Path) -> str:
    """Return the module or subpackage of the top level that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


UNITS = {unit_of(path) for path in FILES}


def imported_by(path: Path) -> Iterator[str]:
    """Yield the units of bnstats that a file imports, those inside functions included."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # "from bnstats import layers" names a unit where one of that name exists
            names = [f"{node.module}.{a.name}" for a in node.names]
        else:
            continue
        for name in names:
            root, _, rest = name.partition(".")
            if root == "bnstats":
                first = rest.partition(".")[0]
                yield first if first in UNITS else "__init__"


@cache
def below() -> dict[str, set[str]]:
    """Return what each unit imports, itself left out."""
    found: dict[str, set[str]] = {unit: set() for unit in UNITS}
    for path in FILES:
        found[unit_of(path)].update(set(imported_by(path)) - {unit_of(path)})
    return found


def code_lines(path: Path) -> int:
    """Count the lines that hold code: no comments, no blank lines, no docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    lines: set[int] = set()
    for token in tokens:
        if token.type not in (*layout, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            said = node.body[0]
            lines -= set(range(said.lineno, (said.end_lineno or said.lineno) + 1))
    return len(lines)


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def arguments_of(node: ast.FunctionDef) -> set[str]:
    given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return {a.arg for a in given} - {"self", "cls"}


# --- imports --------------------------------------------------------------------------------------


def test_imports_form_no_cycle() -> None:
    list(TopologicalSorter(below()).static_order())  # raises CycleError


def test_the_levels_of_imports_are_few() -> None:
    level: dict[str, int] = {}
    for unit in TopologicalSorter(below()).static_order():
        level[unit] = 1 + max((level[lower] for lower in below()[unit]), default=0)
    levels = {unit: level[unit] for unit in sorted(UNITS - ENTRIES, key=level.__getitem__)}
    assert max(levels.values()) <= MOST_LEVELS, levels


def test_nothing_imports_the_command_line_or_the_package_itself() -> None:
    allowed = {"__main__", "cli"}
    assert {unit for unit, lower in below().items() if "cli" in lower} <= allowed
    assert {unit for unit, lower in below().items() if "__main__" in lower} == set()


def test_layers_and_backends_import_only_their_own() -> None:
    assert below()["layers"] | below()["backends"] <= {"errors"}
    assert below()["errors"] | below()["version"] == set()


def test_layers_import_no_array_library() -> None:
    offenders = []
    for path in (ROOT / "layers").rglob("*.py"):
        for node in ast.walk(TREES[path]):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {n.partition(".")[0] for n in names} & {"numpy", "scipy", "torch", "jax", "cupy"}:
                offenders.append(where(path, node))
    assert not offenders


def test_what_is_private_to_a_package_stays_there() -> None:
    offenders = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            module = node.module if isinstance(node, ast.ImportFrom) and node.module else ""
            if "._" in module and ROOT.joinpath(*module.split(".")[1:-1]) != path.parent:
                offenders.append(where(path, node))
    assert not offenders


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, bnstats; print([m for m in ('numpy', 'scipy', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- size -----------------------------------------------------------------------------------------


def test_the_top_level_of_the_package_is_small() -> None:
    assert len(UNITS - ENTRIES) <= MOST_UNITS, sorted(UNITS - ENTRIES)
    loose = {path.stem for path in ROOT.glob("*.py")} - ENTRIES
    assert len(loose) <= MOST_LOOSE, sorted(loose)


def test_files_are_short() -> None:
    counts = {str(path.relative_to(ROOT)): code_lines(path) for path in FILES}
    assert not {name: count for name, count in counts.items() if count > MOST_LINES}


LINES = '''"""Says.

More."""

# no
x = """
a
"""  # three


def f():
    """Not this."""
    return (
        x
    )
'''


def test_what_counts_as_a_line_of_code(monkeypatch, tmp_path) -> None:
    path = tmp_path / "a.py"
    path.write_text(LINES, encoding="utf-8")
    monkeypatch.setitem(TREES, path, ast.parse(LINES))
    assert code_lines(path) == 7


COMMANDS = sorted((ROOT / "cli").glob("*[a-z]_.py"))


def interface() -> set[str]:
    """Return the names of functions whose signature is the user's: of Python and of the shell."""
    found = {*bnstats.__all__, *(f"{path.stem}.command" for path in COMMANDS)}
    for layer in LAYERS.values():
        built: Any = layer.bind
        built = getattr(built, "func", built)
        found.add(getattr(built, "__wrapped__", built).__name__)
    return found


def test_signatures_are_short() -> None:
    """What a layer's builder takes are its parameters, which are the user's."""
    public, offenders = interface(), []
    for path, node in functions():
        given = arguments_of(node)
        names = {node.name, f"{path.stem}.{node.name}"}
        built = unit_of(path) == "layers" and {"kernel_size", "input_size", "init"} & given
        if len(given) > MOST_PARAMETERS and not names & public and not built:
            offenders.append(f"{where(path, node)} {node.name}: {len(given)}")
    assert not offenders


def test_commands_are_what_the_interface_takes_for_them() -> None:
    assert COMMANDS
    for path in COMMANDS:
        module = importlib.import_module(f"bnstats.cli.{path.stem}")
        assert isinstance(module.command, click.Command), path.name


def test_the_repository_holds_what_it_should() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT.parent, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} == {
        "LICENSE",
        "README.md",
        "bnstats",
        "pyproject.toml",
        "results",
        "tests",
    }


# --- what is said ---------------------------------------------------------------------------------


def test_every_module_explains_itself() -> None:
    said = {path: (ast.get_docstring(tree) or "") for path, tree in TREES.items()}
    first = {str(path.relative_to(ROOT)): text.partition("\n")[0] for path, text in said.items()}
    assert not [name for name, line in first.items() if not line.endswith((".", ":"))]


def test_every_module_can_be_imported_and_its_examples_hold() -> None:
    """Only a module that needs an extra which is absent is passed over."""
    failed, registered = [], dict(USER_LAYERS)
    for module in pkgutil.walk_packages([str(ROOT)], "bnstats."):
        if module.name.endswith("__main__"):
            continue
        try:
            imported = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in EXTRAS:
                raise
        else:
            if doctest.testmod(imported).failed:  # prints what
                failed.append(module.name)
    USER_LAYERS.clear()
    USER_LAYERS.update(registered)
    assert not failed


def test_every_layer_is_described() -> None:
    families = {path.stem for path in (ROOT / "layers").glob("*.py")}
    for name, layer in LAYERS.items():
        assert layer.name == name
        assert layer.summary.endswith("."), name
        assert layer.formula, name
        assert layer.gradient, name
        assert layer.family in families, name
        if any(p.required for p in layer.parameters):
            assert layer.examples, f"{name} does not stand alone and needs an example"
            assert all(layer.examples), name


def test_every_family_module_is_imported_by_the_registry() -> None:
    families = {p.stem for p in (ROOT / "layers").glob("*.py") if not p.stem.startswith("_")}
    assert families == {layer.family for layer in LAYERS.values()}


def test_every_exported_name_exists() -> None:
    for name in bnstats.__all__:
        assert getattr(bnstats, name) is not None
    assert set(bnstats.__all__) <= set(dir(bnstats))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bnstats.nothing  # noqa: B018


def test_every_error_that_a_docstring_announces_is_exported() -> None:
    errors = {name for name in vars(bnstats.errors) if name.endswith("Error")}
    assert errors <= set(bnstats.__all__)


def test_type_checkers_of_users_are_told_that_there_are_types() -> None:
    """Without the mark of PEP 561 every name of an installed package is Any to them."""
    assert (ROOT / "py.typed").is_file()


def test_what_a_docstring_lists_is_all_there_is() -> None:
    """Of a class its fields, of a function its arguments, where they are listed at all."""
    offenders = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                fields = [s.target for s in node.body if isinstance(s, ast.AnnAssign)]
                title, names = "Attributes", {t.id for t in fields if isinstance(t, ast.Name)}
            elif isinstance(node, ast.FunctionDef):
                title, names = "Parameters", arguments_of(node)
            else:
                continue
            said = ast.get_docstring(node) or ""
            _, found, section = said.partition(f"{title}\n{'-' * len(title)}")
            listed = re.findall(r"^\w[\w, ]*$", section, re.MULTILINE)
            if found and (missing := names - set(", ".join(listed).split(", "))):
                offenders.append(f"{where(path, node)} says nothing of {missing}")
    assert not offenders
