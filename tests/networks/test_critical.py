"""Fixed points of wide networks against published curves, closed forms and mpmath."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from cli_support import Cli, read_document
from scipy import optimize

import bnstats
from bnstats.networks.critical import NUMBERS
from bnstats.networks.maps import Activation, WideLayer
from bnstats.specs.spec import parse
from bnstats.statistics.exact import Exact

NEAR = pytest.approx


def within(found: Exact | None, true: float, digits: float = 1e-9) -> None:
    """Assert that a value is true within its own bound, and that the bound says something."""
    assert found is not None
    assert abs(found.value - true) <= found.error, (found, true)
    assert found.error <= digits * max(abs(true), 1)


@pytest.mark.parametrize(
    ("spec", "bias", "weight", "q"),
    [  # Hayou et al. 2019 print 1.1775 and 1.3029, by integrals good to 1e-2
        ("elu", 0.1, 1.176148, 0.437829),
        ("tanh", 0.2, 1.304146, 0.512079),
        ("tanh", math.sqrt(0.05), math.sqrt(1.760955), None),  # Schoenholz et al. 2017: 1.76
    ],
)
def test_the_edge_of_chaos(spec: str, bias: float, weight: float, q: float | None) -> None:
    edge = bnstats.critical(spec, bias_std=bias)
    assert edge.attracts == "stable"
    assert edge.weight_std is not None
    assert edge.weight_std.value == NEAR(weight, abs=6e-7)
    assert q is None or (edge.q is not None and edge.q.value == NEAR(q, abs=6e-7))
    # and the other way round
    again = bnstats.critical(spec, weight_std=edge.weight_std.value)
    assert again.bias_std is not None
    assert again.bias_std.value == NEAR(bias, abs=1e-12)


def test_a_solution_solves_its_equations_to_the_digits_that_it_claims() -> None:
    """By mpmath's tanh-sinh quadrature, and its own tanh."""
    edge = bnstats.critical("tanh", bias_std=0.2)
    assert edge.q
    assert edge.weight_std
    assert edge.stability
    with mpmath.workdps(30):

        def mean(function: Callable[[mpmath.mpf], mpmath.mpf]) -> mpmath.mpf:
            return 2 * mpmath.quad(lambda z: function(z) * mpmath.npdf(z), [0, 1, 3, 6, 14])

        def residuals(w: mpmath.mpf, q: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
            s = mpmath.sqrt(q)
            return (
                w**2 * mean(lambda z: mpmath.sech(s * z) ** 4) - 1,
                w**2 * mean(lambda z: mpmath.tanh(s * z) ** 2) + mpmath.mpf(0.2) ** 2 - q,
            )

        w, q = mpmath.findroot(residuals, (edge.weight_std.value, edge.q.value))
        s = mpmath.sqrt(q)
        slope = w**2 / s * mean(lambda z: z * mpmath.tanh(s * z) * mpmath.sech(s * z) ** 2)
    within(edge.weight_std, float(w), 1e-12)
    within(edge.q, float(q), 1e-12)
    within(edge.stability, float(slope), 1e-12)


@pytest.mark.parametrize(("square", "depth"), [(1.3, 7.8341), (1.5, 15.791), (1.7, 74.918)])
def test_the_depth_scale_of_ordered_networks(square: float, depth: float) -> None:
    """Schoenholz et al. 2017 draw this curve; as numbers to five digits by quadrature."""
    point = bnstats.critical("tanh", weight_std=math.sqrt(square), bias_std=math.sqrt(0.05))
    assert point.c == Exact(1.0, 0.0, "constant")
    assert point.xi_c is not None
    assert point.xi_c.value == NEAR(depth, rel=1e-4)
    assert point.xi_dx == point.xi_c


def test_all_numbers_of_a_chaotic_network_of_erf_are_those_of_closed_forms() -> None:
    """Williams 1996: E[erf(u)·erf(v)] = 2/π·arcsin(2qc/(1 + 2q))."""
    w, b = 3.0, 0.3

    def kernel(q: float, c: float) -> float:
        return 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q))

    def kernel_slope(q: float, c: float) -> float:
        return 2 / math.pi * 2 * q / math.sqrt((1 + 2 * q) ** 2 - (2 * q * c) ** 2)

    q = optimize.brentq(lambda q: w * w * kernel(q, 1) + b * b - q, 1e-3, 100, xtol=1e-15)
    c = optimize.brentq(lambda c: w * w * kernel(q, c) + b * b - q * c, 0, 0.9, xtol=1e-16)
    chi = w * w * 4 / math.pi / math.sqrt(1 + 4 * q)
    rate = w * w * 2 / math.pi * 2 / ((1 + 2 * q) * math.sqrt(1 + 4 * q))
    slope = w * w * kernel_slope(q, c) / q
    point = bnstats.critical("erf", weight_std=w, bias_std=b)
    assert point.attracts == "stable"
    assert not point.others
    # 1e-15: what brentq and asin leave of theirs
    for name, true in (("q", q), ("c", c), ("chi", chi), ("stability", rate), ("c_slope", slope)):
        found = getattr(point, name)
        assert abs(found.value - true) <= found.error + 1e-15 * max(true, 1)
        assert found.error < 1e-12
    within(point.xi_c, -1 / math.log(slope))
    within(point.xi_q, -1 / math.log(rate))
    within(point.xi_dx, 1 / math.log(chi))


@pytest.mark.parametrize("w", [2.0, 5.0, 10.0, 100.0])
def test_what_shrinks_to_nothing_in_a_layer_may_do_so_at_once(w: float) -> None:
    """Of sin E[f²] is (1 − e^−2q)/2: at large q slopes are below any error, and depths near 0."""
    b = 1.0
    q = optimize.brentq(lambda q: w * w * (1 - math.exp(-2 * q)) / 2 + b * b - q, 1, 1e5)
    c = b * b / q
    for _ in range(50):  # E[sin u·sin v] is e^−q·sinh(qc)
        c = (w * w * (math.exp(q * (c - 1)) - math.exp(-q * (c + 1))) / 2 + b * b) / q
    ln_rate = 2 * math.log(w) - 2 * q
    ln_slope = 2 * math.log(w) + np.logaddexp(q * (c - 1), -q * (c + 1)) - math.log(2)
    point = bnstats.critical("sin", weight_std=w, bias_std=b)
    within(point.q, q)
    within(point.c, c)
    within(point.xi_q, 1 / abs(ln_rate), 0.1)
    within(point.xi_c, 1 / abs(ln_slope), 0.1)


def test_the_correlation_of_relu_networks_layer_by_layer() -> None:
    """Arc-cosine kernel; from independent inputs 1 − c falls like 9π²/(2l²)."""
    layer, c, seen = WideLayer(Activation(parse("relu")), math.sqrt(2)), 0.0, {}
    for depth in range(1, 101):
        found = layer.correlation(1.0, c)
        true = c + (math.sqrt(1 - c * c) - c * math.acos(c)) / math.pi
        assert abs(found.value - true) <= found.error + 1e-15
        assert found.error < 1e-13
        c = seen[depth] = found.value
    published = {1: 1 / math.pi, 2: 0.493731, 5: 0.735946, 10: 0.871536, 50: 0.987862}
    assert {depth: seen[depth] for depth in published} == NEAR(published, abs=6e-7)
    assert seen[100] == NEAR(0.996423, abs=6e-7)


@pytest.mark.parametrize("a", [0.1, -0.5, 0.6291800290])
@pytest.mark.parametrize("c", [0.0, 0.3, 0.9, 0.999, 0.99999, -0.4])
def test_the_correlation_map_of_leaky_relu(a: float, c: float) -> None:
    """Zhang, Botev and Martens 2022; near c = 1 the series is cut off, and the bound says so."""
    gain = math.sqrt(2 / (1 + a * a))
    layer = WideLayer(Activation(parse(f"leaky_relu:negative_slope={a}")), gain)
    bend = (1 - a) ** 2 / (math.pi * (1 + a * a))
    found, slope = layer.correlation(0.7, c), layer.correlation_slope(0.7, abs(c))
    true = c + bend * (math.sqrt(1 - c * c) - c * math.acos(c))
    assert abs(found.value - true) <= found.error < (1e-6 if c > 0.99 else 1e-12)
    assert abs(slope.value - (1 - bend * math.acos(abs(c)))) <= slope.error < 0.1


def test_tailored_leaky_relu_starts_at_its_target() -> None:
    """DKS's own test suite: η = 0.75 on ResNet-101's map asks for this slope and scale."""
    layer = Activation(parse("leaky_relu:negative_slope=0.6291800290"))
    assert math.sqrt(1 / layer.square(1.0).value) == NEAR(1.19699655, abs=1e-8)


@pytest.mark.parametrize(
    ("spec", "scales", "numbers", "attracts"),
    [
        # E[f²] = E[f′²] = e^(2q)
        ("exponential", {}, {"q": 1, "weight_std": math.exp(-1), "stability": 2}, "unstable"),
        # E[f²] = 3q², E[f′²] = 4q
        ("square", {"bias_std": 0.1}, {"q": 0.04, "weight_std": 2.5, "stability": 1.5}, "unstable"),
        ("relu", {"weight_std": 1.0, "bias_std": 1.0}, {"q": 2, "chi": 0.5, "c": 1}, "stable"),
        ("relu", {}, {"weight_std": math.sqrt(2), "stability": 1, "c": 1, "chi": 1}, "marginal"),
        ("identity", {}, {"weight_std": 1, "c_slope": 1, "chi": 1}, "marginal"),
        ("tanh", {}, {"weight_std": 1, "bias_std": 0, "q": 0, "stability": 1}, "stable"),
        ("tanh", {"weight_std": 1.0}, {"bias_std": 0, "q": 0, "chi": 1}, "stable"),
        ("gelu", {}, {"weight_std": 2, "q": 0, "stability": 1}, "unstable"),
    ],
)
def test_what_is_known_in_closed_form(
    spec: str, scales: dict[str, float], numbers: dict[str, float], attracts: str
) -> None:
    found = bnstats.critical(spec, **scales)
    for name, true in numbers.items():
        within(getattr(found, name), true, 1e-11)
    assert found.attracts == attracts
    missing = {name for name in NUMBERS if getattr(found, name) is None}
    assert missing == set(found.why), "every number that is absent is explained"


def test_stable_unstable_half_stable_and_absent_fixed_points() -> None:
    """Of q ↦ 3q² + b²: two below b² = 1/12, which meet there and vanish."""
    two = bnstats.critical("square", weight_std=1, bias_std=math.sqrt(1 / 12 - 0.01))
    root = math.sqrt(0.12)
    assert (two.attracts, [o.attracts for o in two.others]) == ("stable", ["unstable"])
    within(two.q, (1 - root) / 6, 1e-12)
    within(two.others[0].q, (1 + root) / 6, 1e-12)
    one = bnstats.critical("square", weight_std=1, bias_std=math.sqrt(1 / 12))
    assert (one.attracts, one.others, one.xi_q) == ("half-stable", (), None)
    within(one.q, 1 / 6, 1e-6)
    none = bnstats.critical("square", weight_std=1, bias_std=math.sqrt(1 / 12 + 0.01))
    assert none.q is none.attracts is none.weight_std is None
    assert "every length grows" in none.why["q"]
    assert bnstats.critical("relu", bias_std=0.1).why["q"].startswith("no weight_std is critical")
    assert bnstats.critical("tanh", weight_std=0.9).why["q"].startswith("no bias_std is critical")


def test_a_stable_fixed_point_comes_before_no_signal_at_all() -> None:
    found = bnstats.critical("tanh", weight_std=2, bias_std=0)
    assert found.q is not None
    assert found.q.value > 1
    within(found.c, 0.0)  # an odd function decorrelates
    (dead,) = found.others
    assert (dead.q, dead.attracts) == (Exact(0.0, 0.0, "quadrature"), "unstable")
    within(dead.stability, 4.0)


def test_a_function_of_the_users_is_as_good_as_its_slopes() -> None:
    theirs, ours = (bnstats.critical(spec, bias_std=0.2) for spec in ("numpy:tanh", "tanh"))
    assert ours.weight_std is not None
    within(theirs.weight_std, ours.weight_std.value, 1e-6)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["softmax"], "softmax is not elementwise", "e.g. bnstats critical tanh"),
        (["dropout"], "dropout draws random numbers", "e.g. bnstats critical tanh"),
        (["rrelu"], "rrelu draws random numbers", "rrelu:training=false"),
        (["hardshrink"], "hardshrink jumps at x = -0.5", "there is no edge"),
        (["tanh", "--weight-std", "-1"], "weight-std -1.0 is not between", "σ_w is that of"),
        (["tanh", "--weight-std", "0"], "weight-std 0.0 is not between", "σ_w is that of"),
        (["tanh", "--bias-std", "nan"], "Invalid value for '--bias-std': 'nan' is", "--help"),
        (["tanh", "--weight-std", "5/0"], "Invalid value for '--weight-std': '5/0'", "--help"),
        (["tanh", "--bias-std", "1e9"], "bias-std 1000000000.0 is not 0 or", "standard deviation"),
        (["tanhh"], "unknown layer 'tanhh'", "did you mean 'tanh'?"),
        ([], "Missing argument 'SPEC...'", "bnstats critical --help"),
    ],
)
def test_wrong_input_is_told_in_a_line(
    cli: Cli, arguments: list[str], message: str, hint: str
) -> None:
    outcome = cli("critical", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith(f"error: {message}")
    assert lines[-1].startswith("hint:  ")
    assert hint in lines[-1]


def test_a_jump_too_small_to_see_is_none() -> None:
    """Torch cuts softplus to the identity at 20, where it is off by 2e-9."""
    assert bnstats.critical("softplus", bias_std=0.1).why["q"]
    assert bnstats.critical("rrelu:training=false").attracts == "marginal"


def test_the_document_holds_every_number_or_a_reason(cli: Cli) -> None:
    outcome = cli("critical", "tanh", "relu", "tanh", "--bias-std", "0.2", "--json")
    document = read_document(outcome.out)
    tanh, relu = document["results"]
    assert (tanh["layer"], relu["layer"], outcome.code) == ("tanh", "relu", 0)
    assert tanh["edge"] is True
    assert tanh["weight_std"]["value"] == bnstats.critical("tanh", bias_std=0.2).weight_std.value  # type: ignore[union-attr]
    assert tanh["xi_c"] is None
    assert tanh["why"]["xi_c"].startswith("infinite")
    assert all(relu[name] is None for name in NUMBERS)
    assert list(relu["why"]) == ["q"]


def test_one_number_and_the_text(cli: Cli) -> None:
    got = cli("critical", "tanh", "--bias-std", "0.2", "--get", "weight_std.value")
    assert float(got.out) == NEAR(1.30414584)
    text = cli("critical", "tanh", "relu", "--weight-std", "2", "--bias-std", "0").out
    heads = [line for line in text.splitlines() if line.endswith("fixed point")]
    assert heads == ["tanh   fixed point"] * 2 + ["relu   fixed point"]
    assert "E[z²], stable" in text
    assert "unstable: lengths run away from it" in " ".join(text.split())
    assert "at q = 0 no signal is left to correlate" in " ".join(text.split())
    assert all(len(line) <= 80 for line in text.splitlines())
