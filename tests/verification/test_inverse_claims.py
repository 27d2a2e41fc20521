"""Claims about what solves an equation, judged by oracles that share nothing with the solver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mpmath
import pytest
from cli_support import Cli, read_document

from bnstats import critical
from bnstats.claims import Claim
from bnstats.claims.files import claim
from bnstats.errors import BnstatsError
from bnstats.verification.solved import Subject, judged, subject

LOG = "x_std=0.1:10:log"
QUICK = ("-n", 200_000, "--no-cache")


def claimed(layer: str, over: str, find: str, quantity: str, value: str, **more: str) -> Claim:
    fields = {"layer": layer, "over": over, "find": find, "quantity": quantity, "value": value}
    return claim(fields | more)


def about(layer: str, over: str, find: str, quantity: str, value: str = "1", **law: str) -> Subject:
    """Return what a claim is about, solved."""
    return subject(claimed(layer, over, find, quantity, value, **law))


def normal_mean(function: Any, mean: Any = 0, std: Any = 1) -> Any:
    """Return E[f(mean + std·z)] by mpmath's quadrature, split at the kink of a rectifier."""
    cut = min(max(-mean / std, -12), 12)
    points = sorted({-12, -6, -2, cut, 2, 6, 12})
    return mpmath.quad(lambda z: function(mean + std * z) * mpmath.npdf(z), points)


def elu(alpha: Any = 1) -> Any:
    return lambda x: x if x > 0 else alpha * mpmath.expm1(x)


def spread(function: Any, std: Any) -> Any:
    mean = normal_mean(function, 0, std)
    return mpmath.sqrt(normal_mean(lambda x: function(x) ** 2, 0, std) - mean**2)


def holds(found: Subject, quantity: str, truth: Any, within: float = 1e-10) -> None:
    """Assert that a number is right within its bound, and that the bound is tight."""
    known = found.exact[quantity]
    assert abs(known.value - float(truth)) <= known.error + 1e-15 * abs(float(truth))
    assert known.error <= within * abs(known.value)


# --- solutions --------------------------------------------------------------------------------


def test_the_scale_at_which_sigma_is_one() -> None:
    truth = mpmath.findroot(lambda s: spread(elu(), s) - 1, 1.3)
    found = about("elu", LOG, "std_y=1", "x_std")
    holds(found, "x_std", truth)
    assert found.law.x_std == found.exact["x_std"].value
    # a homogeneous function of x: the scale is the gain
    root = 1 / mpmath.sqrt(mpmath.mpf(1) / 2 - 1 / (2 * mpmath.pi))
    holds(about("relu", LOG, "σ[y] = 1", "x_std"), "x_std", root)


def test_a_quantity_at_the_solution() -> None:
    """d ln E[y²] / d ln Var[x] where E[y²] = 1, by mpmath's derivative of its own quadrature."""

    def gelu_square(log_var: Any) -> Any:
        return normal_mean(lambda x: (x * mpmath.ncdf(x)) ** 2, 0, mpmath.exp(log_var / 2))

    at = mpmath.findroot(lambda t: gelu_square(t) - 1, 0.77)
    slope = mpmath.diff(lambda t: mpmath.log(gelu_square(t)), at)
    found = about("gelu", LOG, "rms_y=1", "stability")
    holds(found, "stability", slope)
    assert found.exact["stability"].error > 0


def test_the_constants_of_selu() -> None:
    """Klambauer et al. 2017, equation 14: both in closed form."""
    e, erfc, half, pi = mpmath.e, mpmath.erfc, mpmath.sqrt(0.5), mpmath.pi
    alpha = -mpmath.sqrt(2 / pi) / (erfc(half) * mpmath.sqrt(e) - 1)
    bracket = 2 * erfc(mpmath.sqrt(2)) * e**2 + pi * erfc(half) ** 2 * e
    bracket -= 2 * (2 + pi) * erfc(half) * mpmath.sqrt(e)
    scale = (1 - erfc(half) * mpmath.sqrt(e)) * mpmath.sqrt(2 * pi) / mpmath.sqrt(bracket + pi + 2)
    holds(about("elu", "alpha=1:3", "mean_y=0", "alpha"), "alpha", alpha)
    holds(about("elu", "alpha=1:3", "mean_y=0", "gain_y"), "gain_y", scale)


def test_a_fixed_point_other_than_the_standard_one() -> None:
    """E[y] = −0.1 and Var[y] = 2 at x of that mean and variance: α by the ratio, then λ."""
    law = {"x_mean": "-0.1", "x_std": "sqrt(2)"}
    mean, std = mpmath.mpf(-1) / 10, mpmath.sqrt(2)

    def ratio(alpha: Any) -> Any:
        first = normal_mean(elu(alpha), mean, std)
        return (
            first / mpmath.sqrt(normal_mean(lambda x: elu(alpha)(x) ** 2, mean, std) - first**2)
            - mean / std
        )

    alpha = mpmath.findroot(ratio, 1.97)
    holds(about("elu", "alpha=1.8:3", "c1=0.01/2.01", "alpha", **law), "alpha", alpha)


def test_an_equation_that_holds_the_parameter() -> None:
    truth = mpmath.findroot(lambda s: spread(mpmath.tanh, s) - s * 3 / 5, 1.1)
    holds(about("tanh", LOG, "std_y=3/5*x_std", "x_std"), "x_std", truth)
    holds(about("tanh", LOG, "std_y=3/5*x_std", "std_y"), "std_y", truth * 3 / 5)


def test_the_edge_of_chaos_is_that_of_critical() -> None:
    edge = critical("tanh", bias_std=0.2)
    assert edge.weight_std is not None
    found = about("tanh", "x_std=0.3:3", "chi=1/(1-0.2**2/x_std**2)", "gain_dx")
    assert found.exact["gain_dx"].value == pytest.approx(edge.weight_std.value, rel=1e-12)


def test_a_parameter_that_is_a_whole_number() -> None:
    """The outputs of softmax add up to one."""
    found = about("softmax", "n=2:6", "mean_y=1/4", "n")
    assert (found.exact["n"].value, found.exact["n"].error) == (4, 0)
    assert found.spec.text == "softmax:n=4"


def test_of_several_solutions_the_nearest_is_meant() -> None:
    for value in ("0.969", "2.173"):
        found = about("sin", "x_mean=0:3", "mean_y=0.5", "x_mean", value)
        assert found.exact["x_mean"].value == pytest.approx(float(value), abs=1e-3)


# --- verdicts ---------------------------------------------------------------------------------


def grade(*fields: str, **more: str) -> str:
    return str(judged(claimed(*fields, **more)).verdict)


def test_grades() -> None:
    elu_at_one = ("elu", LOG, "std_y=1", "x_std")
    assert grade(*elu_at_one, "1.3219389963").startswith("reproduced: exact 1.32193899633")
    assert grade(*elu_at_one, "1.3219").startswith("reproduced")
    assert grade(*elu_at_one, "1.3218").startswith("wrong: 1.3219; 4 digits right")
    assert grade(*elu_at_one, "1.0").startswith("wrong: 1.322; off by −24 %")  # not "1.0 is σ[y]"
    assert grade("elu", "alpha=1:3", "mean_y=0", "alpha", "1.6732").startswith("cut off")
    none = "σ[y] = 1 has no solution: it is from 0.0249379 to 0.459065 for x_std from 0.1 to 10"
    sigmoid = ("sigmoid", LOG, "std_y=1", "x_std", "4.0000000001")
    assert grade(*sigmoid) == f"undecided: {none}"
    thumb = grade(*sigmoid, kind="rule of thumb")
    assert thumb == f"not a moment: a rule of thumb; {none}"


def test_the_error_of_the_solution_is_in_what_is_claimed_there(monkeypatch) -> None:
    """A solution known to 1e-4 leaves σ[dx] there known to its derivative times that."""
    from bnstats.verification import solved

    given = claimed("tanh", LOG, "std_y=3/5*x_std", "std_dx", "0.6")
    (sharp,) = solved._solutions(given.spec, given.law, given.inverse)
    blunt = type(sharp)(sharp.equation, sharp.value, 1e-4)
    monkeypatch.setattr(solved, "_solutions", lambda *_: (blunt,))
    found = subject(given).exact["std_dx"]

    def std_dx(s: Any) -> Any:
        return mpmath.sqrt(normal_mean(lambda x: mpmath.sech(x) ** 4, 0, s))

    slope = abs(mpmath.diff(std_dx, sharp.value))
    assert found.error == pytest.approx(float(slope) * 1e-4, rel=1e-3)


def test_a_file_of_them(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    head = f'[[claim]]\nlayer = "elu"\nover = "{LOG}"\nfind = "std_y=1"\n'
    path.write_text(
        f'{head}quantity = "x_std"\nvalue = "1.3219"\n{head}quantity = "E[y]"\nvalue = "0.2600"\n'
    )
    code, out, _ = cli("verify", path, *QUICK, "--json")
    rows = read_document(out)["results"]
    first, second = rows[0]["checks"]
    assert code == 1
    assert [c["quantity"] for c in (first, second)] == ["x_std", "mean_y"]
    assert [c["outcome"] for c in (first, second)] == ["ok", "fail"]
    assert {(c["over"], c["find"]) for c in (*rows[0]["claims"], first)} == {(LOG, "std_y=1")}
    assert first["value"] == pytest.approx(1, abs=0.01)  # the σ[y] that was drawn there
    assert second["value"] == pytest.approx(0.2504, abs=0.01)
    _, shown, _ = cli("verify", path, *QUICK)
    assert "elu x_std where σ[y] = 1: claimed 1.3219, exact 1.32193900, sampled σ[y] there" in shown
    assert "hint:     bnstats exact elu --x-std 1.32193899633" in shown
    # what is solved for is written anew like any other value
    path.write_text(path.read_text().replace("1.3219", "1.3319"))
    assert cli("verify", path, *QUICK, "--fix").code == 0
    assert path.read_text().count('value = "1.3219"') == 1
    assert 'value = "0.2504"' in path.read_text()


def test_draws_that_deny_the_exact_values_fail_the_claim(
    cli: Cli, tmp_path: Path, monkeypatch
) -> None:
    """Where x is drawn wider than the solution says, the σ[y] of the draws is not the exact one."""
    path = tmp_path / "own.toml"
    fields = f'over = "{LOG}"\nfind = "std_y=1"\nquantity = "x_std"\nvalue = "1.3219"\n'
    path.write_text(f'[[claim]]\nlayer = "elu"\n{fields}')
    from bnstats.sampling import iid

    plain = iid.scaled
    wrong = lambda draws, law: plain(draws, law._replace(x_std=1.02 * law.x_std))  # noqa: E731
    monkeypatch.setattr(iid, "scaled", wrong)
    code, out, _ = cli("verify", path, *QUICK, "--workers", 1)
    assert code == 1
    assert "fresh draws disagree with the exact value" in out


def test_one_layer_may_have_a_claim_as_it_is_and_one_that_is_solved() -> None:
    """`show elu` and `compute elu` are about the layer as it is."""
    from bnstats.claims import claim_sets, claims_on

    solved = {c.spec.text for s in claim_sets() for c in s.claims if c.inverse}
    assert not any(c.inverse for name in solved for c in claims_on(name))


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"over": LOG}, "field 'find' is missing beside 'over'"),
        ({"find": "std_y=1"}, "field 'over' is missing beside 'find'"),
        ({"over": "x_std", "find": "std_y=1"}, "over 'x_std' is no NAME=VALUES"),
        ({"over": "slope=0:1", "find": "std_y=1"}, "elu has no parameter 'slope'"),
        ({"over": "x_std=-1:1", "find": "std_y=1"}, "x_std -1.0 is not a positive number"),
        ({"over": "x_std=a,b", "find": "std_y=1"}, "over x_std=a,b: not numbers"),
        ({"over": "x_std=1:2:0.001", "find": "std_y=1"}, "over x_std: 1,001 values"),
        ({"over": "alpha=1:2", "find": "std_y=1", "layer": "elu:alpha=2"}, "alpha"),
        ({"over": LOG, "find": "sdt_y=1"}, "unknown quantity 'sdt_y'"),
        ({"over": LOG, "find": "std_y"}, "find 'std_y' is no QUANTITY=VALUE"),
        ({"over": LOG, "find": "std_y=one"}, "'one' is not a number or an expression of x_std"),
        ({"over": LOG, "find": "std_y=alpha"}, "'alpha' is not a number or an expression of x_std"),
        ({"over": LOG, "find": "std_y=1", "quantity": "alpha"}, "unknown quantity 'alpha'"),
        ({"quantity": "x_std"}, "unknown quantity 'x_std'"),
    ],
)
def test_faults(fields: dict[str, str], said: str) -> None:
    whole = {"layer": "elu", "quantity": "std_y", "value": "1.32"} | fields
    with pytest.raises(BnstatsError) as caught:
        claim(whole)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_who_claims_a_parameter_is_told_how() -> None:
    with pytest.raises(BnstatsError) as caught:
        claim({"layer": "elu", "quantity": "x_std", "value": "1.32"})
    assert caught.value.hint == 'e.g. over = "x_std=0.1:10:log", find = "std_y=1"'


def test_faults_are_told_where_they_stand(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[[claim]]\nlayer = "elu"\nquantity = "x_std"\nvalue = "1"\nfind = "std_y=1"\n')
    code, _, err = cli("verify", path)
    assert code == 2
    assert "own.toml:5:8: field 'over' is missing beside 'find'" in err
