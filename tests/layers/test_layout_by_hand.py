"""Windows by hand: how many there are, how many are too many, and what they say of themselves."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from layer_support import draws_of, through

from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD, UNKNOWN, ParameterError
from bnstats.layers._layout import idle_hints, laid_out, refuse_many_kinds
from bnstats.layers._windows import Side, Stretch
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


@pytest.mark.parametrize(
    ("kernel", "stride", "first"),
    [
        (1, 2, [0, 2, 4]),  # nothing to pad, and a position that no window holds
        (1, 1, [0, 1, 2, 3, 4, 5]),
        (2, 2, [0, 2, 4]),
        (2, 1, [0, 1, 2, 3, 4, 5]),  # one position after the map
        (3, 2, [0, 2, 4]),
        (4, 2, [-1, 1, 3]),  # one on each side
    ],
)
def test_same_padding_has_a_window_for_every_stride(
    kernel: int, stride: int, first: list[int]
) -> None:
    bound = parse(
        f"conv1d:padding=same,kernel_size={kernel},stride={stride},input_size=6,"
        "in_channels=1,out_channels=1,init=xavier_normal"
    ).bound
    draws = draws_of(bound, 1) | {"x": 10.0 ** np.arange(6).reshape(1, 6, 1)}
    draws["weight"] = np.ones_like(draws["weight"])
    y = through(bound, draws)[0][0, :, 0]
    held = [[i for i in range(at, at + kernel) if 0 <= i < 6] for at in first]
    np.testing.assert_allclose(
        y / y[0], [sum(10.0**i for i in h) / sum(10.0**i for i in held[0]) for h in held]
    )


def test_a_draw_of_ten_million_elements_is_the_largest() -> None:
    def laid(windows: int) -> None:
        laid_out((Side(windows + 1, (Stretch(0, 1, windows, 2),)),))

    laid(5_000_000)
    with pytest.raises(ParameterError, match="more than 10,000,000 elements"):
        laid(5_000_001)


def test_so_many_kinds_of_windows_are_the_most() -> None:
    refuse_many_kinds(65_536, 1, 1)
    with pytest.raises(ParameterError, match="65,537 kinds of windows; the limit is 65,536"):
        refuse_many_kinds(65_537, 1, 1)


def test_what_is_not_given_is_not_said_to_be_idle() -> None:
    assert idle_hints(0) == ()
    assert idle_hints("same") == ()
    assert "ceil_mode changes nothing" in idle_hints(0, ceil_mode=True)[0]
    assert "padding and ceil_mode change nothing" in idle_hints(1, ceil_mode=True)[0]


def test_pooling_has_one_to_three_sides() -> None:
    for sides in (1, 2, 3):
        for name in ("max_pool", "avg_pool", "adaptive_max_pool", "global_avg_pool", "lp_pool"):
            assert f"{name}{sides}d" in LAYERS


@pytest.mark.parametrize(("sides", "least"), [(2, 4), (3, 5)])
def test_fractional_pooling_says_what_it_needs(sides: int, least: int) -> None:
    """Windows of 2, at least one position apart; torch wants a spare one in three dimensions."""
    spec = f"fractional_max_pool{sides}d:kernel_size=2,output_size=3,input_size="
    with pytest.raises(BnstatsError, match=f"need {least} positions, input_size is {least - 1}"):
        parse(f"{spec}{least - 1}")
    parse(f"{spec}{least}")


@pytest.mark.parametrize(("output", "says"), [(1, True), (2, False)])
def test_one_fractional_window_has_a_fourth_moment(output: int, says: bool) -> None:
    bound = parse(f"fractional_max_pool2d:kernel_size=2,output_size={output},input_size=5").bound
    found = bound.moments(STANDARD, Expectation(STANDARD))
    assert (found.m4_y is not UNKNOWN) == says


def test_positions_at_the_border_have_fewer_windows_than_they_would() -> None:
    side = Side(5, (Stretch(0, 1, 4, 2),))
    assert side.visits == (-1, 2, 2, 2, -1)
    # windows of three at every second position: the middle one is in both
    assert Side(5, (Stretch(0, 2, 2, 3),)).visits == (-1, 1, 2, 1, -1)
    with pytest.raises(FrozenInstanceError):
        side.stretches[0].count = 3  # type: ignore[misc]


def test_windows_may_lie_in_the_padding_where_they_are_laid_out_or_summed() -> None:
    for spec in (
        "unfold:input_size=3,kernel_size=2,padding=2",
        "fold:output_size=3,kernel_size=2,padding=2",
    ):
        assert max(np.prod(i.shape) for i in parse(spec).bound.inputs.values()) == (6 * 2) ** 2
