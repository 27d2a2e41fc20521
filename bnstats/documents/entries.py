"""What the parts of a document that is read must hold; schema.json says the same, with meanings."""

from __future__ import annotations

import math
from types import UnionType
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

from bnstats.claims.grades import Grade, VerdictOutcome


class ExactEntry(TypedDict):
    """A value known without sampling."""

    value: float
    error: float
    by: str


class Known(TypedDict):
    """What is known of a quantity without sampling."""

    exact: ExactEntry | None


class QuantityEntry(Known, total=False):
    """A quantity of a layer; where nothing was sampled it holds ``exact`` alone."""

    value: float | None
    stderr: float | None
    interval: list[float | None] | None
    n_eff: float | None
    reliable: bool
    z: float | None


class SampledProvenance(TypedDict):
    """How rows were sampled, as far as tables say it."""

    seed: int
    confidence: float


class SampledEntry(Known):
    """A quantity of a layer that was sampled."""

    value: float | None
    stderr: float | None
    interval: tuple[float | None, float | None] | None
    n_eff: float | None
    reliable: bool
    z: float | None


class ClaimEntry(TypedDict):
    """A published value with its verdict."""

    set: str
    quantity: str
    printed: str
    verdict: VerdictOutcome
    grade: Grade
    remark: str
    decided_by: str
    relative_error: float | None
    digits_right: int
    digits_printed: int | None
    samples_needed: int | None
    equal_error_samples: float | None
    samples: int | None
    source: str
    note: str


class Named(TypedDict):
    """A layer by its canonical spec."""

    layer: str


class RowEntry(Named, total=False):
    """A layer, beside its quantities."""

    samples: int
    claims: list[ClaimEntry]
    warnings: list[str]


def conforms(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is of a type: of one above, or one that stands in these.

    >>> conforms({"value": 1, "error": 0.0, "by": "symmetry"}, ExactEntry)
    True
    >>> conforms({"value": None, "error": 0.0, "by": "symmetry"}, ExactEntry)
    False
    """
    if is_typeddict(kind):
        types = get_type_hints(kind)
        return (
            isinstance(value, dict)
            and kind.__required_keys__ <= value.keys()
            and all(conforms(value[key], types[key]) for key in types.keys() & value.keys())
        )
    if isinstance(kind, UnionType):
        return any(conforms(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:  # a list of JSON's, of so many items
        kinds = get_args(kind)
        return (
            isinstance(value, list)
            and len(value) == len(kinds)
            and all(map(conforms, value, kinds))
        )
    if get_origin(kind) is list:
        return isinstance(value, list) and all(conforms(v, *get_args(kind)) for v in value)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    return type(value) is kind and (kind is not int or math.isfinite(value))
