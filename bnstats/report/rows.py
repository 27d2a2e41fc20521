"""A document as rows of one quantity each, for those formats that are tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bnstats.layers import CONSTANT
from bnstats.notation import bounds, concise, decimals_for, deviation, exact_text, percent
from bnstats.statistics.alarm import FIRST_THRESHOLD
from bnstats.statistics.quantities import ON_SCREEN


def is_sampled(document: Mapping[str, Any]) -> bool:
    """Whether a document holds estimates, and not exact values alone."""
    return any("samples" in result for result in document["results"])


def interval_title(provenance: Mapping[str, Any]) -> str:
    """Write the heading of the column of intervals."""
    return f"{percent(provenance['confidence'])} interval"


def exact_cell(entry: Mapping[str, Any]) -> str:
    """Write the exact value, with one digit more than the estimate beside it."""
    exact, stderr = entry["exact"], entry.get("stderr")
    if not exact:
        return ""
    decimals = max(8, decimals_for(stderr) if stderr else 0)
    return exact_text(exact["value"], exact["error"], decimals)


def _is_constant(entry: Mapping[str, Any]) -> bool:
    """Whether theory knows the same value for every draw, and the estimate is that value."""
    exact, z = entry["exact"], entry["z"]
    constant = exact is not None and exact["by"] == CONSTANT
    return constant and z is not None and abs(z) <= FIRST_THRESHOLD


def is_believable(entry: Mapping[str, Any]) -> bool:
    """Whether an estimate's standard error can be believed."""
    return bool(entry["reliable"]) or _is_constant(entry)


def estimate_cell(entry: Mapping[str, Any]) -> str:
    """Write value(standard error)."""
    if entry["value"] is None:
        return "not finite"
    if _is_constant(entry):
        return exact_text(entry["value"], entry["stderr"] or 0.0)
    return concise(entry["value"], entry["stderr"])


def interval_cell(entry: Mapping[str, Any]) -> str:
    """Write a confidence interval, marked where it cannot be believed."""
    low, high = entry["interval"] or (None, None)
    if _is_constant(entry):
        return CONSTANT
    if low is None or high is None:
        return "no information"
    text = bounds((low, high))
    return text if entry["reliable"] else f"{text} unreliable"


def z_cell(entry: Mapping[str, Any]) -> str:
    """Write z with its sign, if the standard error that is its unit can be believed."""
    if entry["z"] is None or not is_believable(entry):
        return ""
    return deviation(entry["z"])


def quantity_rows(
    result: Mapping[str, Any], provenance: Mapping[str, Any], usual: Iterable[str] = ON_SCREEN
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the quantities that were asked for, or else the usual ones, in their order."""
    names = provenance.get("quantities") or usual
    return ((name, result[name]) for name in names if name in result)
