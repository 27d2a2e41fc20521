"""What keeps the package simple: imports point down, layers explain themselves, files are short."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bnstats
from bnstats.layers import LAYERS

ROOT = Path(bnstats.__file__).parent
MOST_LINES = 330

# Subpackages count as one. A module may import what ranks strictly lower, or its own package.
RANKS = {
    "errors": 0,
    "version": 0,
    "layers": 1,
    "backends": 1,
    "notation": 1,
    "specs": 2,
    "statistics": 2,
    "custom": 3,
    "sampling": 4,
    "claims": 4,
    "result": 5,
    "diagnostics": 6,
    "api": 7,
    "documents": 8,
    "networks": 9,
    "verification": 9,
    "report": 10,
    "tables": 11,
    "cli": 12,
    "pytest_plugin": 12,
    "__main__": 13,
    "__init__": 13,  # exports everything, lazily
}

FILES = sorted(ROOT.rglob("*.py"))
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "bnstats.")
    if not module.name.endswith("__main__")
]
EXTRAS = {"torch", "array_api_compat", "jax"}
files = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))


def unit_of(path: Path) -> str:
    """Return the module or subpackage that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Yield the units of bnstats that a file imports, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # "from bnstats import layers" names a unit where one of that name exists
            names = [f"{node.module}.{a.name}" for a in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "bnstats":
                known = len(parts) > 1 and (
                    (ROOT / f"{parts[1]}.py").exists() or (ROOT / parts[1]).is_dir()
                )
                yield parts[1] if known else "__init__"


@files
def test_imports_point_down(path):
    unit = unit_of(path)
    assert unit in RANKS, f"give {unit} a rank: what may it import?"
    for imported in imports_of(path):
        allowed = imported == unit or RANKS[imported] < RANKS[unit]
        # the version is all that a lower module may want of the package itself
        assert allowed, f"{path.relative_to(ROOT)} imports {imported}, which is not below it"


@files
def test_what_is_private_to_a_package_stays_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        module = node.module if isinstance(node, ast.ImportFrom) and node.module else ""
        if "._" in module:
            assert ROOT / module.split(".")[1] == path.parent, module


@files
def test_layers_and_backends_import_only_their_own(path):
    unit = unit_of(path)
    if unit in ("layers", "backends", "errors", "version"):
        assert set(imports_of(path)) <= {unit, "errors"}


def test_layers_import_no_array_library():
    for path in (ROOT / "layers").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            roots = {n.split(".")[0] for n in names}
            assert not roots & {"numpy", "scipy", "torch", "jax", "cupy"}, path.name


def test_the_rank_table_names_only_what_exists():
    assert set(RANKS) == {unit_of(p) for p in FILES}


@files
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_every_module_explains_itself():
    for path in FILES:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, path
        assert docstring.splitlines()[0].endswith((".", ":")), path


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_described(name):
    layer = LAYERS[name]
    assert layer.name == name
    assert layer.summary.endswith(".")
    assert layer.formula
    assert layer.gradient
    assert layer.family in {p.stem for p in (ROOT / "layers").glob("*.py")}
    if any(p.required for p in layer.parameters):
        assert layer.examples, "a layer that does not stand alone needs an example"
        assert all(layer.examples)


def test_every_family_module_is_imported_by_the_registry():
    families = {p.stem for p in (ROOT / "layers").glob("*.py") if not p.stem.startswith("_")}
    assert families == {layer.family for layer in LAYERS.values()}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(name):
    """The doctests pass over a module that cannot; only that of an absent extra may be so."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        absent = (error.name or "").partition(".")[0]
        if absent not in EXTRAS:
            raise
        pytest.skip(f"{absent}, an extra, is not installed")


def test_every_exported_name_exists():
    for name in bnstats.__all__:
        assert getattr(bnstats, name) is not None
    assert set(bnstats.__all__) <= set(dir(bnstats))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bnstats.nothing  # noqa: B018


def test_type_checkers_of_users_are_told_that_there_are_types():
    """Without the mark of PEP 561 every name of an installed package is Any to them."""
    assert (ROOT / "py.typed").is_file()


def test_importing_the_package_is_cheap():
    code = "import sys, bnstats; print([m for m in ('numpy', 'scipy', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_top_level_holds_what_it_should() -> None:
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


def test_every_error_that_a_docstring_announces_is_exported() -> None:
    errors = {name for name in vars(bnstats.errors) if name.endswith("Error")}
    assert errors <= set(bnstats.__all__)


@files
def test_what_a_docstring_lists_is_all_there_is(path: Path) -> None:
    """Of a class its fields, of a function its arguments, where they are listed at all."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            fields = [s for s in node.body if isinstance(s, ast.AnnAssign)]
            title, names = "Attributes", {f.target.id for f in fields}
        elif isinstance(node, ast.FunctionDef):
            arguments = node.args
            given = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            title, names = "Parameters", {a.arg for a in given} - {"self", "cls"}
        else:
            continue
        _, found, section = (ast.get_docstring(node) or "").partition(
            f"{title}\n{'-' * len(title)}"
        )
        if found:
            listed = re.findall(r"^\w[\w, ]*$", section, re.MULTILINE)
            missing = names - set(", ".join(listed).split(", "))
            assert not missing, f"{node.name} says nothing of {missing}"
