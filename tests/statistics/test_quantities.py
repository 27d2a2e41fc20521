"""Quantities by their names and symbols, as they are printed and as they are typed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from bnstats.errors import BnstatsError
from bnstats.statistics.quantities import (
    ALL_QUANTITIES,
    checked_quantity,
    has_log_scale,
    quantity_named,
    symbol_of,
)

TYPED = {
    "sigma[y]": "std_y",
    " 1 / sigma[dx] ": "gain_dx",
    "E[y^2]": "ms_y",
    "1/E[y**2]": "gain_ms_y",
    "chi": "chi",
    "c1": "c1",
    "E[f']": "mean_slope",
    "Var[f']": "var_slope",
}


@pytest.mark.parametrize(("typed", "name"), TYPED.items())
def test_symbols_may_be_typed_on_a_keyboard(typed: str, name: str) -> None:
    assert quantity_named(typed) == checked_quantity(typed) == name


def test_quantities_do_not_change() -> None:
    for q in ALL_QUANTITIES.values():
        with pytest.raises(FrozenInstanceError):
            q.symbol = "x"  # type: ignore[misc]


@pytest.mark.parametrize("name", ALL_QUANTITIES)
def test_names_and_symbols_are_those_of_one_quantity(name: str) -> None:
    assert quantity_named(name) == quantity_named(symbol_of(name)) == name


def test_what_is_no_quantity_has_its_name_for_a_symbol() -> None:
    assert quantity_named("negative_slope") is None
    assert symbol_of("negative_slope") == "negative_slope"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("std_z", "did you mean std_y, σ[y]?  (bnstats help quantities)"),
        ("sigma[z]", "did you mean std_y, σ[y]?  (bnstats help quantities)"),
        ("42", "quantities: mean_y, std_y, "),
    ],
)
def test_an_unknown_quantity_is_told_with_the_nearest(typed: str, hint: str) -> None:
    with pytest.raises(BnstatsError) as told:
        checked_quantity(typed)
    assert str(told.value) == f"unknown quantity '{typed}'"
    assert told.value.hint is not None
    assert told.value.hint.startswith(hint)


def test_all_but_means_and_what_may_be_negative_have_the_scale_of_logarithms() -> None:
    others = {n for n in ALL_QUANTITIES if not has_log_scale(n)}
    assert others == {
        *("mean_y", "mean_dx", "linear_share", "stability", "c1", "mean_slope", "var_slope")
    }
