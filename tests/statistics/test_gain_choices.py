"""Gains: which there are of the quantities at hand, and what each makes of the other direction."""

from __future__ import annotations

from bnstats.statistics.gains import gain_choices


def test_a_gain_scales_the_other_direction() -> None:
    """Of relu: rms[y] and σ[dx] are both 1/√2, so that a gain of √2 for one makes the other 1."""
    values = {"gain_rms_y": 1.5, "gain_y": 2.0, "gain_dx": 1.25, "std_dx": 0.5, "rms_y": 0.75}
    assert [(c.name, c.other, c.becomes) for c in gain_choices(values)] == [
        ("gain_rms_y", "std_dx", 0.75),
        ("gain_y", "std_dx", 1.0),
        ("gain_dx", "rms_y", 0.9375),
    ]
    relu = {"gain_dx": 2**0.5, "rms_y": 2**-0.5}
    assert [round(c.becomes, 12) for c in gain_choices(relu)] == [1.0]


def test_a_gain_needs_both_directions() -> None:
    assert list(gain_choices({"gain_y": 2.0, "gain_rms_y": 1.5, "rms_y": 0.75})) == []
    assert list(gain_choices({"std_dx": 0.5, "rms_y": 0.75})) == []
