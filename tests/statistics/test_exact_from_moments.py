"""Quantities that follow from stated moments, their errors and standard errors, by hand."""

from __future__ import annotations

import math
import sys
from typing import Any, NoReturn

import pytest

from bnstats.layers import CONSTANT, BoundLayer, ExactMoments, Input, Known, Law
from bnstats.statistics.exact import (
    Exact,
    exact_entry,
    exact_moments,
    heavy_tailed,
    moment_quantities,
    of_unknown_error,
    stack_quantities,
)
from bnstats.statistics.quadrature import ROUNDING

SCALARS = {"x": Input(), "dy": Input()}
VECTORS = {"x": Input((4,)), "dy": Input((4,))}
LEAST = 2.0**-1074


def layer(inputs: dict[str, Input] = SCALARS, **how: Any) -> BoundLayer:
    return BoundLayer(inputs, *[lambda a, b: NotImplemented] * 2, **how)


def quantities(**stated: Known) -> dict[str, Exact]:
    return moment_quantities(layer(), ExactMoments(**stated))


def in_a_stack(inputs: dict[str, Input] = SCALARS, **stated: Known) -> dict[str, Exact]:
    return stack_quantities(layer(inputs), ExactMoments(**stated), Law())


@pytest.mark.parametrize("fault", [OverflowError, ZeroDivisionError, FloatingPointError])
def test_a_layer_whose_moments_leave_float64_states_none(fault: type[Exception]) -> None:
    def moments(law: Any, expect: Any) -> NoReturn:
        raise fault

    bound = BoundLayer(SCALARS, lambda xp, draws: NotImplemented, moments)
    assert exact_moments(bound, Law()) == ExactMoments()


def test_the_error_of_a_number_is_no_less_than_its_rounding() -> None:
    found = quantities(mean_y=Known(-3.0, 1e-20), var_y=Known(4.0, 0.25), ms_dx=Known(2.0))
    assert (found["mean_y"].value, found["mean_y"].error) == (-3.0, 3 * ROUNDING)
    assert (found["var_y"].value, found["var_y"].error) == (4.0, 0.25)
    assert (found["var_dx"].value, found["var_dx"].error) == (2.0, 2 * ROUNDING)
    small = quantities(mean_y=Known(2.0**-1060))["mean_y"]
    assert LEAST <= small.error < 2.0**-1060


def test_a_square_of_zero_may_be_one_that_underflowed() -> None:
    found = quantities(mean_y=Known(0.0), var_y=Known(0.0))
    assert (found["mean_y"].value, found["mean_y"].error) == (0.0, 0.0)
    assert found["var_y"].value == 0
    assert LEAST <= found["var_y"].error < 1e-300
    assert found["std_y"].error == math.sqrt(found["var_y"].error)
    assert "gain_y" not in found
    for by in ("quadrature", CONSTANT):
        sure = quantities(var_y=Known(0.0, 0.0, by))
        assert (sure["var_y"].error, sure["std_y"].error, sure["var_y"].by) == (0.0, 0.0, by)


def test_a_square_whose_error_is_half_of_it_is_not_known() -> None:
    assert "var_y" not in quantities(var_y=Known(1.0, 0.5))
    assert "var_y" in quantities(var_y=Known(1.0, 0.49))
    assert quantities(mean_y=Known(1.0, 7.0))["mean_y"].error == 7.0


def test_errors_of_roots_and_reciprocals_hold_what_the_moment_may_be() -> None:
    """Of a moment known to a quarter: roots by a quarter, and 1/m by a third, as 1/(1 − ¼)."""
    found = quantities(mean_y=Known(0.0), var_y=Known(4.0, 1.0), ms_y=Known(16.0, 4.0))
    wanted = {
        "std_y": (2.0, 0.5),
        "rms_y": (4.0, 1.0),
        "gain_y": (0.5, 0.125),
        "gain_rms_y": (0.25, 0.0625),
        "gain_ms_y": (1 / 16, 1 / 48),
    }
    for name, (value, error) in wanted.items():
        assert (found[name].value, found[name].error) == pytest.approx((value, error), rel=1e-12)


def test_a_reciprocal_beyond_float64_is_not_known() -> None:
    found = quantities(mean_y=Known(0.0), ms_y=Known(1e-310))
    assert "gain_ms_y" not in found
    assert found["gain_rms_y"].value == pytest.approx(1e155)


def test_asymptotic_errors_are_those_of_laws_whose_moments_are_known() -> None:
    """N(2, 1), of whose square the variance is 2 + 4·2², and the exponential law: E[v⁴] = 24."""
    normal = quantities(mean_y=Known(2.0), var_y=Known(1.0), m3_y=Known(0.0), m4_y=Known(3.0))
    exponential = quantities(mean_y=Known(1.0), var_y=Known(1.0), m3_y=Known(2.0), m4_y=Known(9.0))
    root = math.sqrt(20) / 2 / math.sqrt(2)  # of 20 = 24 − 2², at E[v²] = 2
    for found, wanted in (
        (normal, {"mean_y": 1.0, "var_y": math.sqrt(2), "std_y": 0.5**0.5, "gain_y": 0.5**0.5}),
        (normal, {"ms_y": math.sqrt(18), "rms_y": math.sqrt(18 / 5) / 2}),
        (exponential, {"mean_y": 1.0, "var_y": math.sqrt(8), "std_y": math.sqrt(2)}),
        (exponential, {"ms_y": math.sqrt(20), "rms_y": root, "gain_rms_y": root / 2}),
        (exponential, {"gain_ms_y": math.sqrt(20) / 4}),
    ):
        for name, std in wanted.items():
            assert found[name].asymptotic_std == pytest.approx(std, rel=1e-12), name
            assert found[name].stderr(16.0) == pytest.approx(std / 4, rel=1e-12)


def test_an_asymptotic_error_of_an_event_is_that_of_its_mean_square() -> None:
    found = quantities(ms_dx=Known(4.0), var_ms_dx=Known(9.0), m4_dx=Known(1e9))
    assert found["var_dx"].asymptotic_std == pytest.approx(3.0)
    assert found["std_dx"].asymptotic_std == pytest.approx(0.75)  # half of 3/4, of 2
    assert found["gain_dx"].asymptotic_std == pytest.approx(3 / 16)
    assert found["mean_dx"].asymptotic_std == 2.0


@pytest.mark.parametrize(("error", "known"), [(0.5, True), (1.0, True), (2.0, False)])
def test_a_fourth_moment_counts_where_it_is_known_to_a_thousandth(
    error: float, known: bool
) -> None:
    found = quantities(var_y=Known(4.0), m4_y=Known(1000.0, error))
    assert (found["std_y"].asymptotic_std is not None) is known
    found = quantities(ms_dx=Known(4.0), var_ms_dx=Known(1000.0, error))
    assert (found["std_dx"].asymptotic_std is not None) is known


def test_what_has_no_spread_or_loses_its_digits_has_no_asymptotic_error() -> None:
    flat = quantities(mean_y=Known(1.0), var_y=Known(0.0), m4_y=Known(1.0))
    assert flat["mean_y"].asymptotic_std is flat["var_y"].asymptotic_std is None
    flat = quantities(ms_dx=Known(0.0), var_ms_dx=Known(1.0))
    assert flat["var_dx"].asymptotic_std is None
    least = sys.float_info.min
    tiny = quantities(var_y=Known(2.0**-512), m4_y=Known(least))
    assert tiny["var_y"].asymptotic_std == pytest.approx(math.sqrt(3) * 2.0**-512, abs=0)
    tiny = quantities(var_y=Known(2.0**-512), m4_y=Known(least / 2))
    assert tiny["var_y"].asymptotic_std is None
    huge = quantities(var_y=Known(1e-150), m4_y=Known(1e9))
    assert huge["var_y"].asymptotic_std is None
    skew = quantities(mean_y=Known(1.0), var_y=Known(1.0), m4_y=Known(3.0))
    assert skew["ms_y"].asymptotic_std is None  # its third moment is missing
    assert skew["var_y"].asymptotic_std == pytest.approx(math.sqrt(2))
    two_values = quantities(var_y=Known(1.0), m4_y=Known(1 - 2.0**-53))  # ±1, but for rounding
    assert two_values["std_y"].asymptotic_std == 0.0


def test_a_direction_whose_error_theory_does_not_tell_is_named() -> None:
    def exact(value: float, std: float | None) -> Exact:
        return Exact(value, 0.0, "closed form", std)

    unknown = of_unknown_error
    assert unknown({}, ("y", "dx"), ()) == ("y", "dx")
    assert unknown({}, ("dx",), ()) == ("dx",)
    assert unknown({}, ("y", "dx"), ("y",)) == ("dx",)  # its error is known to be infinite
    for value in (1.0, -1.0, 2.0):
        assert unknown({"std_y": exact(value, None)}, ("y",), ()) == ("y",)
    assert unknown({"std_y": exact(2.0, 1.0)}, ("y", "dx"), ()) == ("dx",)
    assert unknown({"std_y": exact(2.0, 0.0)}, ("y",), ("y",)) == ()
    assert unknown({"std_y": exact(0.0, None)}, ("y",), ()) == ()


def test_a_moment_that_is_stated_without_a_bound_is_heavy() -> None:
    bound = layer(heavy_tailed=("dx",))
    assert heavy_tailed(layer(), ExactMoments()) == ()
    assert heavy_tailed(layer(), ExactMoments(var_y=Known(1.0), m4_dx=Known(3.0))) == ()
    assert heavy_tailed(layer(), ExactMoments(m4_y=Known(1.0, math.inf))) == ("y",)
    assert heavy_tailed(layer(), ExactMoments(ms_dx=Known(math.inf))) == ("dx",)
    assert heavy_tailed(bound, ExactMoments(var_y=Known(math.nan))) == ("dx", "y")


def test_a_black_box_has_estimates_of_errors_but_where_symmetry_tells() -> None:
    stated = ExactMoments(mean_y=Known(1.0), mean_slope=Known(2.0))
    bound = layer(is_black_box=True)
    found = moment_quantities(bound, stated)
    assert found["mean_y"].error_is_estimate
    assert (found["mean_dx"].by, found["mean_dx"].error_is_estimate) == ("symmetry", False)
    assert stack_quantities(bound, stated, Law())["mean_slope"].error_is_estimate
    assert not in_a_stack(mean_slope=Known(2.0))["mean_slope"].error_is_estimate
    assert exact_entry(found["mean_y"]) == {
        "value": 1.0,
        "error": found["mean_y"].error,
        "by": "closed form",
        "error_is_estimate": True,
    }


def test_errors_in_a_stack_are_no_less_than_rounding() -> None:
    for slope in (1.0, -1.0, 5.0):
        found = in_a_stack(mean_slope=Known(slope))["mean_slope"]
        assert (found.value, found.error) == (slope, abs(slope) * ROUNDING)
    found = in_a_stack(mean_slope=Known(0.0))["mean_slope"]
    assert (found.value, found.error) == (0.0, 0.0)
    assert in_a_stack(mean_slope=Known(2.0, 0.5))["mean_slope"].error == 0.5


def test_a_factor_whose_error_is_half_of_it_is_not_known() -> None:
    """What comes after it in the table is, and what is no factor may have any error."""
    stated = {"ms_y": Known(1.0), "var_y": Known(1.0), "drift": Known(1.0, 9.0)}
    found = in_a_stack(ms_dx=Known(1.0, 0.5), mean_slope=Known(1.0), **stated)
    assert found.keys() == {"stability", "mean_slope", "var_slope"}
    found = in_a_stack(ms_dx=Known(1.0, 0.25), **stated)
    assert (found["chi"].error, found["mean_degree"].error) == (0.25, 0.25)
    assert found["stability"].error == 9.0
    several = in_a_stack(VECTORS, ms_dx=Known(1.0), mean_slope=Known(1.0), **stated)
    assert several.keys() == {"chi"}


def test_a_share_is_at_most_one() -> None:
    found = in_a_stack(cov_xy=Known(1.0 + 1e-9, 1e-8), var_y=Known(1.0))["linear_share"]
    assert found.value == 1.0
    assert in_a_stack(cov_xy=Known(0.5), var_y=Known(1.0))["linear_share"].value == 0.25
    assert in_a_stack(mean_slope=Known(3.0))["mean_slope"].value == 3.0  # which is no share


@pytest.mark.parametrize(
    ("mean", "error", "share", "at_most"),
    [(-0.25, 0.5, 0.0, 0.5625), (0.5, 0.5, 0.0, 1.0), (1.0, 0.5, 1.0, 1.25)],
)
def test_a_square_of_a_mean_is_0_where_the_mean_may_be(
    mean: float, error: float, share: float, at_most: float
) -> None:
    found = in_a_stack(mean_y=Known(mean, error), ms_y=Known(1.0))["c1"]
    assert (found.value, found.error) == (share, at_most)


def test_a_constant_mean_makes_a_closed_form() -> None:
    for by, wanted in ((CONSTANT, "closed form"), ("quadrature", "quadrature")):
        assert in_a_stack(mean_slope=Known(1.0, 0.0, by))["mean_slope"].by == wanted


def test_an_exact_value_is_shown_with_sixteen_decimals_at_most() -> None:
    third = Exact(1 / 3, 0.0, "closed form")
    assert str(third) == "0.3333333333333333"
    assert repr(third) == "Exact(0.3333333333333333)"
    assert float(str(Exact(1 / 3, 1e-5, "quadrature"))) == pytest.approx(1 / 3, abs=1e-4)
