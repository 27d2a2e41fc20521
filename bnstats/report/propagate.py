"""Signals in drawn networks, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnstats.notation import deviation, percent, plural, shortest, signed, significant
from bnstats.report.page import PIPED, Page, aligned

_STEPS = (1, 2, 5)  # and times powers of ten: the depths that are shown
_WAYS = {"y": "forward", "dx": "backward"}
_LEAST = ("z", "alone", "wide", "c")  # columns that a narrow page lacks, in order


def render(
    document: Mapping[str, Any],
    page: Page = PIPED,
    seconds: float | None = None,
    *,
    all_rows: bool = False,
) -> str:
    """Return the document as text: a table forward, one backward, and what they say."""
    blocks = (
        "\n".join(_block(r, document["provenance"], page, seconds, all_rows))
        for r in document["results"]
    )
    return "\n\n".join(blocks)


def _block(
    result: Mapping[str, Any],
    provenance: Mapping[str, Any],
    page: Page,
    seconds: float | None,
    all_rows: bool,
) -> Iterator[str]:
    head = f"{page.style(result['layer'], 'name')} ×{result['depth']}"
    parts = [f"width {result['width']}", result["init"], "x, dy ~ N(0, 1)"]
    if result["gain"] is not None:
        parts.insert(2, f"gain {shortest(result['gain'], 6)}")
    if result["scale"] != "none":
        parts.insert(2, f"scaled {result['scale']}")
    if result["bias_std"]:
        parts.insert(2, f"σ_b {shortest(result['bias_std'], 6)}")
    yield f"{head}   {' · '.join(parts)}"
    for way, name in _WAYS.items():
        yield ""
        rows = _chosen(result, way, all_rows)
        yield from _table(rows, way, name, provenance["confidence"], page)
    yield ""
    yield from _said(result, page)
    for warning in result["warnings"]:
        yield from page.folded("  ! ", warning)
    yield ""
    engine = "no matrices" if result["engine"] == "exact" else "matrices"
    parts = [
        plural(result["networks"], "network"),
        plural(result["inputs"], "input") + " each",
        engine,
        f"seed {provenance['seed']}",
    ]
    if seconds is not None:
        parts.append(f"{seconds:.1f} s")
    yield from page.folded("  ", " · ".join(parts))


def _chosen(result: Mapping[str, Any], way: str, all_rows: bool) -> Sequence[Mapping[str, Any]]:
    """Return the rows that are shown: where blocks end, or begin on the way back."""
    rows: Sequence[Mapping[str, Any]] = result["rows"]
    if all_rows:
        return rows
    per_block = len(rows) // result["depth"]
    ends = rows[per_block - 1 :: per_block] if way == "y" else rows[::per_block]
    last = ends[-1]["depth"]
    wanted = {s * 10**k for s in _STEPS for k in range(len(str(last)))} | {last}
    return [row for row in ends if row["depth"] in wanted]


def _table(
    rows: Sequence[Mapping[str, Any]], way: str, name: str, confidence: float, page: Page
) -> Iterator[str]:
    """Yield a table; a page that is too narrow lacks its least important columns."""
    columns = {
        name: [row["name"] for row in rows],
        f"σ[{way}]": [_short(row[way]["typical"]["value"]) for row in rows],
        percent(confidence): [_interval(row[way]["typical"]["interval"]) for row in rows],
        "one network": [_range(row[way]["spread"]) for row in rows],
        "ensemble": [_ensemble(row[way]["ensemble"]) for row in rows],
        "wide": [_short(row[way]["wide"]) for row in rows],
        "alone": [_short(row[way]["isolated"]) for row in rows],
        "z": [_z(row[way]["z_isolated"]) for row in rows],
        "c": [_short(row["correlation"]["value"]) if row["correlation"] else "" for row in rows],
    }
    if way == "dx" or not any(columns["c"]):
        del columns["c"]
    for least in ("", *_LEAST):
        columns.pop(least, None)
        lines = ["  ".join(cells).rstrip() for cells in aligned(list(_cells(columns)))]
        if max(map(len, lines)) <= page.width - 2:
            break
    for line in lines:
        yield f"  {line}"


def _cells(columns: Mapping[str, Sequence[str]]) -> Iterator[Sequence[str]]:
    yield list(columns)
    yield from zip(*columns.values(), strict=True)


def _ensemble(entry: Mapping[str, Any]) -> str:
    return _short(entry["value"]) + ("" if entry["reliable"] else "?")


def _z(z: float | None) -> str:
    return "–" if z is None else deviation(z)


def _range(ends: Sequence[float] | None) -> str:
    return "–" if ends is None or None in ends else "–".join(map(_short, ends))


def _said(result: Mapping[str, Any], page: Page) -> Iterator[str]:
    for way, name in _WAYS.items():
        verdict = result["verdicts"][way]
        kind = "ok" if verdict == "steady" else "undecided" if verdict == "undecided" else "fail"
        factor = result["factor"][way]
        growth = ""
        if factor is not None:
            growth = f"   ×{_digits(factor['value'], 5)} a block {_interval(factor['interval'], 5)}"
        yield f"  {name.ljust(8)}  {page.style(verdict, kind)}{growth}"
    if any(not row[way]["ensemble"]["reliable"] for row in result["rows"] for way in _WAYS):
        text = (
            f"of the {plural(result['networks'], 'network')} "
            f"{_digits(result['effective'] or 0.0, 2)} count where they differ most: an ensemble "
            "with a question mark may lack the few large ones that make it up"
        )
        yield from page.folded("  ? ", text)
    y = result["rows"][-1]["y"]["spread"]
    if y and y[0]:
        spread = f"{_digits((y[1] / y[0]) ** 0.5, 3)}"
        text = f"one network says σ[y] at the end within a factor of {spread}"
        yield from page.folded("  ", f"{text}, however many inputs it averages")


def _short(value: float | None) -> str:
    return "–" if value is None else _digits(value, 3)


def _digits(value: float, digits: int) -> str:
    return signed(significant(value, digits))


def _interval(ends: Sequence[float] | None, digits: int = 3) -> str:
    if ends is None or None in ends:
        return "–"
    return f"[{', '.join(_digits(e, digits) for e in ends)}]"
