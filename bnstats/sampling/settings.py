"""What compute and exact are called with: one clear error for each mistake."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, get_args

from bnstats.custom import load_typed
from bnstats.errors import BnstatsError, kind_of, printable
from bnstats.layers import Law
from bnstats.notation import count_text
from bnstats.sampling.iid import MAX_DRAWS
from bnstats.specs.spec import Spec, parse


def checked_spec(spec: str | Spec) -> Spec:
    """Return a layer from its text, or as it is."""
    if isinstance(spec, Spec):
        return spec
    if isinstance(spec, str):
        return parse(spec, load_typed)
    given: Any = spec
    hint = 'e.g. "relu", or "elu:alpha=2"'
    if isinstance(given, list | tuple | set):
        hint = "one layer at a time"
    elif callable(given):
        hint = 'bnstats.register(function, name="my_act"), and then "my_act"'
    raise BnstatsError(f"a layer is named by text, not by {kind_of(given)}", hint=hint)


def checked_law(law: Law) -> Law:
    """Return a law of the inputs that float64 can hold."""
    if not isinstance(law, Law):
        raise BnstatsError(
            f"law is {kind_of(law)}, not a Law",
            hint="bnstats.Law(x_mean=0.0, x_std=1.0, dy_std=1.0)",
        )
    for name, value in law._asdict().items():
        check_number(name, value, "1.0")
    check_law(law)
    return law


def check_law(law: Law) -> None:
    """Raise BnstatsError unless float64 can hold the law: scales positive, mean not far off."""
    if not math.isfinite(law.x_mean):
        raise BnstatsError(f"x-mean {law.x_mean} is not finite")
    for name, value in (("x-std", law.x_std), ("dy-std", law.dy_std)):
        if not 0 < value < math.inf:
            raise BnstatsError(f"{name} {value} is not a positive number")
        if not 1e-50 <= value <= 1e50:
            raise BnstatsError(f"{name} {value} is outside 1e-50 to 1e50")
    if abs(law.x_mean) > 1e9 * law.x_std:
        raise BnstatsError(
            f"x-mean {law.x_mean} is more than 1e9 times x-std {law.x_std}",
            hint="float64 would hold too few digits of x around such a mean",
        )


def check_number(name: str, value: Any, example: str) -> None:
    """Raise BnstatsError unless an argument is a number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        shown = printable(repr(value), 60)
        raise BnstatsError(f"{name} {shown} is not a number", hint=f"e.g. {name}={example}")


def check_positive(name: str, value: float | None, example: str) -> None:
    """Raise BnstatsError unless an argument is a positive number, or None."""
    if value is None:
        return
    check_number(name, value, example)
    if not 0 < value < math.inf:
        raise BnstatsError(f"{name.replace('_', '-')} {value} is not a positive number")


def check_share(name: str, value: float, example: str) -> None:
    """Raise BnstatsError unless an argument lies between 0 and 1."""
    check_number(name, value, example)
    if not 0 < value < 1:
        raise BnstatsError(f"{name} {value} is outside (0, 1)")


def check_choice(name: str, value: str, literal: Any) -> None:
    """Raise BnstatsError unless an argument is one of the words of a Literal."""
    words = get_args(literal)
    if value not in words:
        shown = printable(str(value), 60)
        raise BnstatsError(f"{name} '{shown}' is not {', '.join(words[:-1])} or {words[-1]}")


def checked_seed(seed: Any) -> int:
    """Return a seed, which may have come as an integer of numpy's."""
    if not isinstance(seed, Integral) or seed < 0:
        raise BnstatsError(f"seed {printable(str(seed), 60)} is not a whole number ≥ 0")
    return int(seed)


def checked_workers(workers: Any) -> int:
    """Return a number of processes, which may have come as an integer of numpy's."""
    check_number("workers", workers, "4")
    if not isinstance(workers, Integral) or workers < 1:
        raise BnstatsError(f"workers {workers} is not a whole number ≥ 1")
    return int(workers)


def checked_samples(samples: int | float) -> int:
    """Return a count of draws, which may have come as a float such as 1e7."""
    check_number("samples", samples, "1e7")
    if samples != samples or not 1 <= samples <= MAX_DRAWS or samples != int(samples):
        raise BnstatsError(
            f"samples {samples} is not a whole number from 1 to {count_text(MAX_DRAWS)}",
            hint="e.g. 1e7 or 2**24",
        )
    return int(samples)
