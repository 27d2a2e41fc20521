"""Signals in drawn networks, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnstats.notation import deviation, percent, plural, shortest, signed, significant
from bnstats.report.page import PIPED, Page, aligned_columns

_STEPS = (1, 2, 5)  # and times powers of ten: the depths that are shown
_MOST_ROWS = 40  # of what is long, such as a model
WAYS = {"y": "forward", "dx": "backward"}
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
    yield from page.folded("", "   ".join(_head(result, page)), 2)
    for way, name in WAYS.items():
        yield ""
        rows = chosen(result, way, all_rows)
        yield from _table(rows, way, name, provenance["confidence"], page)
    yield ""
    yield from _said(result, page)
    for warning in result["warnings"]:
        yield from page.folded("  ! ", warning)
    yield ""
    parts = [
        plural(result["networks"], "network"),
        plural(result["batch"], "input") + " each",
        "no matrices" if result["engine"] == "exact" else result["engine"],
        f"seed {provenance['seed']}",
    ]
    if seconds is not None:
        parts.append(f"{seconds:.1f} s")
    yield from page.folded("  ", " · ".join(parts))


def _head(result: Mapping[str, Any], page: Page) -> Iterator[str]:
    times = f" ×{result['depth']}" if result["depth"] else ""
    yield page.style(result["layer"], "name") + times
    parts = [f"input {result['input']}"] if result["input"] else [f"width {result['width']}"]
    if result["init"]:
        parts.append(result["init"])
    if result["gain"] is not None:
        parts.append(f"gain {shortest(result['gain'], 6)}")
    if result["scale"] not in ("none", None):
        parts.append(f"scaled {result['scale']}")
    if result["bias_std"]:
        parts.append(f"σ_b {shortest(result['bias_std'], 6)}")
    if result["mode"]:
        parts.append(result["mode"])
    tokens = (result["input"] or "").startswith("tokens")
    parts.append("dy ~ N(0, 1)" if tokens else "x, dy ~ N(0, 1)")
    yield " · ".join(parts)


def chosen(result: Mapping[str, Any], way: str, all_rows: bool) -> Sequence[Mapping[str, Any]]:
    """Return the rows that are shown: where blocks end, or begin on the way back.

    Of a long model every so many, and both ends.
    """
    rows = [row for row in result["rows"] if row[way]]
    if all_rows or result["depth"] == 1:
        return rows
    if not result["depth"]:
        return thinned(rows)
    per_block = len(rows) // result["depth"]
    ends = rows[per_block - 1 :: per_block] if way == "y" else rows[::per_block]
    last = ends[-1]["depth"]
    wanted = {s * 10**k for s in _STEPS for k in range(len(str(last)))} | {last}
    return [row for row in ends if row["depth"] in wanted]


def thinned(rows: Sequence[Any]) -> Sequence[Any]:
    """Return at most some forty rows, the ends among them."""
    step = -(-len(rows) // _MOST_ROWS)
    return [row for i, row in enumerate(rows) if i % step == 0 or i == len(rows) - 1]


def _table(
    rows: Sequence[Mapping[str, Any]], way: str, name: str, confidence: float, page: Page
) -> Iterator[str]:
    """Yield a table; a page that is too narrow lacks its least important columns."""
    columns = {
        name: [row["name"] for row in rows],
        f"σ[{way}]": [short(row[way]["typical"]["value"]) for row in rows],
        percent(confidence): [interval(row[way]["typical"]["interval"]) for row in rows],
        "one network": [_range(row[way]["spread"]) for row in rows],
        "ensemble": [_ensemble(row[way]["ensemble"]) for row in rows],
        "wide": [short(row[way]["wide"]) for row in rows],
        "alone": [short(row[way]["isolated"]) for row in rows],
        "z": [z_text(row[way]["z_isolated"]) for row in rows],
        "c": [short(row["correlation"]["value"]) if row["correlation"] else "" for row in rows],
    }
    if way == "dx" or not any(columns["c"]):
        del columns["c"]
    for empty in ("wide", "alone", "z", "one network"):
        if all(cell == "–" for cell in columns[empty]):
            del columns[empty]
    if "alone" not in columns:
        del columns["ensemble"]  # nothing to compare it with
    for least in ("", *_LEAST):
        columns.pop(least, None)
        lines = ["  ".join(cells).rstrip() for cells in aligned_columns(columns)]
        if max(map(len, lines)) <= page.width - 2:
            break
    for line in lines:
        yield f"  {line}"


def _ensemble(entry: Mapping[str, Any]) -> str:
    return short(entry["value"]) + ("" if entry["reliable"] else "?")


def z_text(z: float | None) -> str:
    """Return a z, or a dash for nothing."""
    return "–" if z is None else deviation(z)


def _range(ends: Sequence[float] | None) -> str:
    return "–" if ends is None or None in ends else "–".join(map(short, ends))


def _said(result: Mapping[str, Any], page: Page) -> Iterator[str]:
    for way, name in WAYS.items():
        verdict = result["verdicts"][way]
        kind = "ok" if verdict == "steady" else "undecided" if verdict == "undecided" else "fail"
        factor = result["factor"][way]
        growth = ""
        if factor is not None:
            value = f"×{figures(factor['value'], 5)} a {result['per']}"
            growth = f"   {value} {interval(factor['interval'], 5)}"
        yield f"  {name.ljust(8)}  {page.style(verdict.ljust(9), kind)}{growth}".rstrip()
    gaps: dict[str, list[str]] = {}
    for gap in result["gaps"]:
        name = "alone" if gap["of"] == "isolated" else gap["of"]
        gaps.setdefault(f"not known from {gap['begins']} on: {gap['why']}", []).append(name)
    for said, names in gaps.items():
        yield from page.folded("  – ", f"{', '.join(names)}: {said}")
    sides = [row[way] for row in result["rows"] for way in WAYS if row[way]]
    if any(not s["ensemble"]["reliable"] and s["isolated"] is not None for s in sides):
        few = result["effective"] or 0.0
        text = "an ensemble with a question mark needs more networks to be believed"
        if 2 * few < result["networks"]:
            text = (
                f"of the {plural(result['networks'], 'network')} {figures(few, 2)} count where "
                "they differ most: an ensemble with a question mark may lack the few large ones "
                "that make it up"
            )
        yield from page.folded("  ? ", text)
    y = result["rows"][-1]["y"]["spread"]
    if y and y[0]:
        spread = f"{figures((y[1] / y[0]) ** 0.5, 3)}"
        text = f"one network says σ[y] at the end within a factor of {spread}"
        yield from page.folded("  ", f"{text}, however many inputs it averages")


def short(value: float | None) -> str:
    """Return three figures, or a dash for nothing."""
    return "–" if value is None else figures(value, 3)


def figures(value: float, count: int) -> str:
    """Return so many figures of a number, as a power of ten if it is far from 1."""
    return signed(significant(value, count))


def interval(ends: Sequence[float] | None, count: int = 3) -> str:
    """Return both ends, or a dash for nothing."""
    if ends is None or None in ends:
        return "–"
    return f"[{', '.join(figures(e, count) for e in ends)}]"
