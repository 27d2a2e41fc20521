"""What the parts of a document hold; schema.json says the same, with their meanings."""

from __future__ import annotations

from typing import TypedDict


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


class ClaimEntry(TypedDict):
    """A published value with its verdict."""

    set: str
    quantity: str
    printed: str
    verdict: str
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
