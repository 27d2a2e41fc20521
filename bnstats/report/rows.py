"""A document as rows of one quantity each, for the formats that are tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bnstats.notation import bounds, concise, decimals_for, exact_text, signed
from bnstats.quantities import ON_SCREEN


def exact_cell(entry: Mapping[str, Any]) -> str:
    """Write the exact value, to a digit more than the estimate beside it has."""
    exact, stderr = entry["exact"], entry.get("stderr")
    if not exact:
        return ""
    decimals = max(8, decimals_for(stderr) if stderr else 0)
    return exact_text(exact["value"], exact["error"], decimals)


def estimate_cell(entry: Mapping[str, Any]) -> str:
    """Write value(standard error)."""
    if entry["value"] is None:
        return "not finite"
    return concise(entry["value"], entry["stderr"])


def interval_cell(entry: Mapping[str, Any]) -> str:
    """Write a confidence interval, marked where it cannot be believed."""
    interval = entry["interval"]
    if interval is None or None in interval:
        return "no information"
    text = bounds((interval[0], interval[1]))
    return text if entry["reliable"] else f"{text} unreliable"


def z_cell(entry: Mapping[str, Any]) -> str:
    """Write z with its sign."""
    return "" if entry["z"] is None else signed(f"{entry['z']:+.2f}")


def quantity_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the quantities shown to people, in their order."""
    return ((name, result[name]) for name in ON_SCREEN if name in result)
