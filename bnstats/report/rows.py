"""A document as rows of one quantity each, for those formats that are tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bnstats.layers import CONSTANT
from bnstats.notation import (
    bound_digits,
    bounds,
    concise,
    deviation,
    exact_digits,
    exact_text,
    last_place,
    percent,
    rounded,
    shortest,
    significant,
    within,
)
from bnstats.statistics.alarm import FIRST_THRESHOLD
from bnstats.statistics.quantities import GAINS, ON_SCREEN

_ALL = -400  # a place beyond every digit of a float64


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
    beside = [last_place(stderr)] if stderr else []
    return exact_text(exact["value"], exact["error"], min([-8, *beside]))


def _is_constant(entry: Mapping[str, Any]) -> bool:
    """Whether theory knows the same value for every draw, and the estimate is that value."""
    exact, z = entry["exact"], entry["z"]
    if not exact:
        return False
    if exact["value"] == 0 and entry["stderr"] is None:  # nothing varies
        return entry["value"] is not None and abs(entry["value"]) <= exact["error"]
    return exact["by"] == CONSTANT and z is not None and abs(z) <= FIRST_THRESHOLD


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
    result: Mapping[str, Any],
    provenance: Mapping[str, Any],
    usual: Iterable[str] = (*ON_SCREEN, *GAINS),
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the quantities that were asked for, or else the usual ones, in their order."""
    names = provenance.get("quantities") or usual
    return ((name, result[name]) for name in names if name in result)


def paper_columns(document: Mapping[str, Any]) -> list[str]:
    """Return the quantities of a paper's table, in which every row is a layer.

    Unless some were asked for, those that the others tell are left out: E[dx], which is 0, and
    Var[dx].
    """
    usual = (*(n for n in ON_SCREEN if n not in ("mean_dx", "var_dx")), *GAINS)
    wanted = document["provenance"].get("quantities") or usual
    return [name for name in wanted if any(name in r for r in document["results"])]


def error_title(numbers: Iterable[Mapping[str, Any] | None]) -> str:
    """Return what precedes the errors of exact numbers: bounds, unless one is an estimate."""
    estimated = any(number and number.get("error_is_estimate") for number in numbers)
    return "error about" if estimated else "error below"


def known_digits(value: float, key: str, beside: Mapping[str, Any]) -> str:
    """Write a number of a document with the digits that are known, as programs read them.

    Parameters
    ----------
    value, key
        The number and its name, e.g. ``value`` or ``low``.
    beside
        What stands beside it, itself included: its standard error, or a bound on its error.
    """
    if key == "value" and "error" in beside:
        return exact_digits(value, beside["error"], _ALL)
    if key == "error":
        return bound_digits(value)
    if key == "value" and beside.get("stderr"):
        return rounded(value, last_place(beside["stderr"]))
    if key in ("low", "high") and None not in beside.values():
        return within(value, (beside["high"] - beside["low"]) / 4, max(map(abs, beside.values())))
    if key == "z":
        return rounded(value, -2)
    return significant(value, 2) if key == "stderr" else shortest(value, 6)
