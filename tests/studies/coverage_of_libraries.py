"""Which layers of torch, jax, flax and keras bnstats knows, by which name.

    python tests/studies/coverage_of_libraries.py [--check]

Enumerates the libraries that are installed, so that a layer of a new release shows up as missing.
Every name resolves to a layer of bnstats, or stands in library_names_left_out.toml with the reason.
Writes bnstats/specs/libraries.json, by which bnstats knows the names, and
results/coverage-of-libraries.md and .csv. With --check it writes nothing, and exits 1 where a name
is missing, where a library's defaults or values are not those of the layer it resolves to, or where
the files are out of date.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

from library_names import (
    LibraryName,
    defaults,
    enumerate_libraries,
    required,
    value_at,
    versions,
)
from report_text import as_csv, wrapped

from bnstats.documents.files import write_atomically
from bnstats.errors import BnstatsError
from bnstats.layers import ALIASES, LAYERS, Parameter
from bnstats.report.markdown import table
from bnstats.specs.libraries import FILE, LIBRARIES, folded, our_word
from bnstats.specs.spec import parse

ROOT = Path(__file__).parents[2]
NAMES = ROOT / "bnstats" / "specs" / FILE
PAGE = ROOT / "results" / "coverage-of-libraries.md"
TABLE = PAGE.with_suffix(".csv")
LEFT_OUT = Path(__file__).with_name("library_names_left_out.toml")
COMMAND = "python tests/studies/coverage_of_libraries.py"

_WORDS = {
    "average": "avg",
    "pooling": "pool",
    "normalization": "norm",
    "convolution": "conv",
}
# "training" is no parameter of the layer: the statistics are those of training. What an init draws
# is compared in tests/layers/test_library_initialisation.py.
_ELSEWHERE = {"training", "init"}
_PADDING = {"same": "same", "valid": 0}


# From a library's name to ours


def resolve(name: LibraryName) -> tuple[str, ...]:
    """Return our names of a library's layer, as keys of LAYERS or ALIASES; empty for none.

    The name it was defined under counts before the one it is listed by, an alias of its library
    before a name without one, the exact spelling before one without case and underscores. A name
    without dimensions stands for all of them (flax's Conv), one with dimensions for ours without
    (torch's BatchNorm1d).
    """
    candidates = tuple(dict.fromkeys((name.own, name.last)))
    for candidate in candidates:
        if found := _known(name.home, candidate):
            return (found,)
    for candidate in candidates:
        if found_all := [f for n in "123" if (f := _known(name.home, f"{candidate}{n}d"))]:
            return tuple(found_all)
    for candidate in candidates:
        without = re.sub(r"[123][dD]$", "", candidate)
        if without != candidate and (found := _known(name.home, without)):
            return (found,)
    return ()


def _known(library: str, candidate: str) -> str | None:
    for prefix in (f"{library}.", ""):
        own = [n for n in (*LAYERS, *ALIASES) if n.startswith(prefix)]
        own = own if prefix else [n for n in own if "." not in n]
        for spelling in (str, folded, in_our_words):
            wanted = spelling(candidate)
            found = [n for n in own if spelling(n.removeprefix(prefix)) == wanted]
            if len({ALIASES.get(n, (n, "")) for n in found}) == 1:
                return found[0]
    return None


def in_our_words(name: str) -> str:
    """Return a folded name in torch's words, dimensions last: Conv1DTranspose, AvgPool1D."""
    name = folded(name)
    for theirs, ours in _WORDS.items():
        name = name.replace(theirs, ours)
    return re.sub(r"^(\D+)([123]d)(\D+)$", r"\1\3\2", name)


def target(ours: str) -> tuple[str, str]:
    """Return the layer and the parameters that one of our names stands for."""
    return ALIASES.get(ours, (ours, ""))


# Names that are no layer here


@dataclass(frozen=True)
class Group:
    """Names left out for one reason; patterns as in a shell."""

    reason: str
    patterns: tuple[str, ...]


def groups(which: str = "left_out") -> tuple[Group, ...]:
    """Read the list of names that are left out, or of those that differ."""
    entries = tomllib.loads(LEFT_OUT.read_text("utf-8"))[which]
    return tuple(Group(e["reason"], tuple(e["names"])) for e in entries)


def reason_for(name: LibraryName, reasons: Sequence[Group]) -> tuple[str, set[str]]:
    """Return the first reason whose patterns match a name, and all patterns that do."""
    matches = [(g.reason, p) for g in reasons for p in g.patterns if fnmatchcase(name.path, p)]
    return (matches[0][0] if matches else "", {p for _, p in matches})


@dataclass(frozen=True)
class Catalogue:
    """Every name in one of three places.

    Attributes
    ----------
    found
        Our names by library name.
    left_out
        The reason by library name.
    missing
        The rest.
    idle
        Patterns that no name needs.
    """

    found: Mapping[LibraryName, tuple[str, ...]]
    left_out: Mapping[LibraryName, str]
    missing: tuple[LibraryName, ...]
    idle: tuple[str, ...]


def catalogue(names: Iterable[LibraryName], reasons: Sequence[Group]) -> Catalogue:
    """Sort names into those that resolve, those that are left out, and those that are missing."""
    found, left_out, missing = {}, {}, []
    used = set[str]()
    for name in names:
        if ours := resolve(name):
            found[name] = ours
            continue
        reason, patterns = reason_for(name, reasons)
        used |= patterns
        if reason:
            left_out[name] = reason
        else:
            missing.append(name)
    idle = tuple(p for g in reasons for p in g.patterns if p not in used)
    return Catalogue(found, left_out, tuple(missing), idle)


# What each file says


def names_json(c: Catalogue) -> str:
    """Return the package's data.

    By layer and library, names and the parameters they carry; by reason and library, the names that
    are left out.
    """
    tree: dict[str, dict[str, dict[str, str]]] = {}
    for name, ours in c.found.items():
        for layer, carried in map(target, ours):
            tree.setdefault(layer, {}).setdefault(name.library, {})[name.short] = carried
    left_out: dict[str, dict[str, list[str]]] = {}
    for name, reason in c.left_out.items():
        left_out.setdefault(reason, {}).setdefault(name.library, []).append(name.short)
    data = {"layers": dict(sorted(tree.items())), "left_out": left_out}
    parts = (f"{json.dumps(part)}: {a_line_each(entries)}" for part, entries in data.items())
    return "{" + ",\n".join(parts) + "}\n"


def a_line_each(entries: Mapping[str, Any]) -> str:
    """Write a JSON object with a line for each of its entries."""
    return "{\n" + ",\n".join(json.dumps({k: v})[1:-1] for k, v in entries.items()) + "\n}"


def covered(c: Catalogue) -> dict[str, dict[str, list[str]]]:
    """Return the libraries' names by our specs and by library."""
    rows: dict[str, dict[str, list[str]]] = {}
    for name, ours in c.found.items():
        for layer, carried in map(target, ours):
            spec = f"{layer}:{carried}" if carried else layer
            rows.setdefault(spec, {}).setdefault(name.library, []).append(name.short)
    return rows


def names_csv(c: Catalogue) -> str:
    """Return the table of all names that are covered."""
    rows = sorted(covered(c).items())
    return as_csv(
        ("ours", *LIBRARIES),
        ((spec, *(", ".join(by.get(library, ())) for library in LIBRARIES)) for spec, by in rows),
    )


def page(
    c: Catalogue, reasons: Sequence[Group], excused: Sequence[Group], releases: Mapping[str, str]
) -> str:
    """Return the page: the counts, what differs, and what is left out."""
    alone = sorted(set(LAYERS) - {spec.partition(":")[0] for spec in covered(c)})

    def count(names: Iterable[LibraryName]) -> list[str]:
        found = [name.library for name in names]
        return [str(found.count(library)) for library in LIBRARIES]

    lines = [
        "# Coverage of the libraries' layers",
        "",
        wrapped(verdict(c)),
        "",
        f"Enumerated from {_releases(releases)}",
        f"by `{COMMAND}`, which CI runs with `--check`:",
        "a layer that a new release adds shows up as missing. Counted are the layer classes and",
        "the functions of torch.nn, torch.nn.functional, jax.nn, flax.linen, flax.nnx,",
        "keras.layers and keras.activations; flax's machinery in the same namespaces is not.",
        "",
        table(
            ("names", *LIBRARIES),
            [
                ("covered", *count(c.found)),
                ("no layer here, see the reasons", *count(c.left_out)),
                ("missing", *count(c.missing)),
            ],
        ),
        "",
        "## Covered",
        "",
        wrapped(
            f"[{TABLE.name}]({TABLE.name}) has our name of every library's layer, with parameters "
            "where the library's defaults are not ours; so has `bnstats list WORD`. Defaults of "
            "the same meaning, and the values of all that can be called with x alone, are compared "
            "by the same command. What differs:"
        ),
        "",
    ]
    for group in excused:
        paths = [name.path for name in c.found if reason_for(name, [group])[0]]
        lines += [f"- {', '.join(paths)}: {group.reason}"] if paths else []
    lines.append("")
    if alone:
        lines += [f"In none of the libraries: {', '.join(f'`{name}`' for name in alone)}.", ""]
    if c.missing:
        lines += ["## Missing", "", *(f"- {name.path}" for name in c.missing), ""]
    lines += ["## No layer here, and why", ""]
    for group in reasons:
        names = [name for name, reason in c.left_out.items() if reason == group.reason]
        if names:
            lines += [f"**{group.reason}**", ""]
        for library, own in groupby(names, key=lambda name: name.library):
            lines.append(f"- {library}: {', '.join(name.short for name in own)}")
        lines.append("")
    return "\n".join(lines)


def verdict(c: Catalogue) -> str:
    """Return the first lines of the page."""
    every = len(c.found) + len(c.left_out) + len(c.missing)
    reasons = len({*c.left_out.values()})
    return (
        f"**Of {every} names of layers and functions {len(c.found)} are known here, as "
        f"{len(covered(c))} layers with their parameters; {len(c.missing)} are missing.** "
        f"{len(c.left_out)} are left out for {reasons} reasons, which stand below with their names."
    )


def _releases(releases: Mapping[str, str]) -> str:
    return ", ".join(f"{library} {release}" for library, release in releases.items())


# What can be wrong


def problems(c: Catalogue, excused: Sequence[Group]) -> Iterator[str]:
    """Yield what is wrong with the catalogue, whatever the files say."""
    for name in c.missing:
        yield f"MISSING {name.path}: neither a layer here nor left out with a reason"
    needed = set[str]()
    for name, ours in c.found.items():
        reason, patterns = reason_for(name, excused)
        for one in ours:
            found = [*differing_defaults(name, one), *differing_values(name, one)]
            needed |= patterns if found else set()
            yield from found if not reason else ()
    idle = [*c.idle, *(p for g in excused for p in g.patterns if p not in needed)]
    yield from (f"{LEFT_OUT.name}: no name needs the pattern {pattern}" for pattern in idle)


def differing_defaults(name: LibraryName, ours: str) -> Iterator[str]:
    """Yield the parameters of the same meaning that have another default there, or none."""
    layer, carried = target(ours)
    given = dict(item.split("=") for item in carried.split(",") if item)
    known = {p.name for p in LAYERS[layer].parameters}
    theirs = {our_word(n, known) or n: value for n, value in defaults(name.thing).items()}
    demanded = {our_word(n, known) or n for n in required(name.thing)}
    yield from (f"{name.path}: {n} has no default, {ours} carries one" for n in demanded & {*given})
    for p in LAYERS[layer].parameters:
        there = theirs.get(p.name)
        if p.name in _ELSEWHERE or there is None:
            continue
        if p.kind == "size" and isinstance(there, str):
            there = _PADDING[there.lower()]
            if there not in (0, *p.choices):
                continue  # it depends on the map; in its interior there is none
        here = given.get(p.name, spelling(p, p.default))
        if here != spelling(p, there) and not _same_number(here, spelling(p, there)):
            yield f"{name.path}: {p.name} is {there!r} by default, {here} in {ours}"


def _same_number(a: str, b: str) -> bool:
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def spelling(p: Parameter, value: Any) -> str:
    """Write a library's value of a parameter as a spec does."""
    if p.kind == "word" and isinstance(value, bool):
        return p.choices[value]
    if isinstance(value, tuple | list) and len(set(value)) == 1:
        value = value[0]
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, int | float) else str(value)


def differing_values(name: LibraryName, ours: str) -> Iterator[str]:
    """Yield where a layer's forward values over its last axis are not the library's."""
    import numpy as np

    from bnstats.backends import numpy_backend

    layer, carried = target(ours)
    try:
        bound = parse(f"{layer}:{carried}" if carried else layer).bound
    except BnstatsError:
        return  # a parameter that the library demands as well
    shape, drawn = bound.inputs["x"].shape, set(bound.inputs) - {"x", "dy"}
    if len(shape) > 1 or drawn - {"weight"}:
        return
    # Off the round numbers, where slopes and values jump.
    x = np.linspace(-5.93, 6.11, 35 * (shape[0] if shape else 1), dtype=np.float32)
    x = np.random.default_rng(0).permutation(x).reshape(-1, *shape)
    there = value_at(name, x)
    if there is None:
        return
    if drawn:
        yield f"{name.path}: has no weights, {ours} has"
        return
    here = bound.forward(numpy_backend, {"x": x.astype(np.float64).T})[0].T
    here = here.reshape(len(x), -1) if there.ndim > here.ndim else here  # one number, as a vector
    if there.shape != here.shape:
        yield f"{name.path}: y has the shape {there.shape[1:]}, that of {ours} {here.shape[1:]}"
    elif not np.allclose(there, here, rtol=2e-5, atol=2e-6):
        yield f"{name.path}: other values than {ours}, by {np.max(np.abs(there - here)):.2g}"


def stale(wanted: Mapping[Path, str]) -> Iterator[str]:
    """Yield the files that say something else; the libraries' releases may differ."""

    def but_releases(text: str) -> str:
        return re.sub(r"(?m)^Enumerated from .*$", "", text)

    for path, text in wanted.items():
        there = path.read_text("utf-8") if path.exists() else ""
        if but_releases(there) != but_releases(text):
            yield f"{path.relative_to(ROOT)}: out of date; run {COMMAND}"


def older_than_the_table(releases: Mapping[str, str]) -> str:
    """Return which installed library is older than the committed page's, or an empty text."""
    line = re.search(r"(?m)^Enumerated from (.*)$", PAGE.read_text("utf-8"))
    for part in line[1].split(", ") if line else ():
        library, _, there = part.partition(" ")
        if _order(releases[library]) < _order(there):
            return f"{library} {releases[library]} is older than the page's {there}"
    return ""


def _order(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]


def main(argv: Sequence[str]) -> int:
    check = "--check" in argv
    if check and (old := older_than_the_table(versions())):
        print(f"nothing checked: {old}")
        return 4
    reasons, excused = groups(), groups("differs")
    c = catalogue(enumerate_libraries(), reasons)
    wanted = {
        NAMES: names_json(c),
        PAGE: page(c, reasons, excused, versions()),
        TABLE: names_csv(c),
    }
    wrong = list(problems(c, excused))
    if check:
        wrong += stale(wanted)
    else:
        for path, text in wanted.items():
            write_atomically(path, text)
    print("\n".join(wrong))
    print(f"{len(c.found)} names covered, {len(c.left_out)} left out, {len(c.missing)} missing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
