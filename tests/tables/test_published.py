"""The audit of published constants: verdicts found a second way, and how they are rendered."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mpmath as mp
import pytest
from cli_support import Cli
from oracles import normal_points

from bnstats.api import exact
from bnstats.claims import ClaimSet, claim_set, set_names
from bnstats.claims.files import claim
from bnstats.claims.grades import OUTCOMES
from bnstats.claims.values import parse_value
from bnstats.claims.verdict import judge
from bnstats.layers import Input, Weights
from bnstats.networks.predictions import predict
from bnstats.networks.stages import Dense, Elementwise
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse
from bnstats.tables import constants
from bnstats.tables.published import audit
from bnstats.tables.published.audit import Audited, audited
from bnstats.tables.published.data import DATA, rows
from bnstats.tables.published.page import PLOT, render
from bnstats.tables.published.plot import digest, draw, marks
from bnstats.tables.published.stack import DEPTH, growth
from bnstats.verification.gate import VerifySettings

# From the most surprising to the least.
ORDER = [
    *("wrong", "wrong quantity", "last digits are noise", "cut off"),
    *("not a moment", "undecided", "reproduced"),
]
needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="matplotlib, an extra, is not installed"
)

# --- verdicts ---------------------------------------------------------------------------------


def _logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _mean(f: Callable[[Any], Any], breakpoints: tuple[float, ...]) -> Any:
    return mp.fsum(w * f(x) for x, w in normal_points(breakpoints))


def test_the_gammas_are_right_to_three_or_four_digits():
    judged = {
        c.spec.text: judge(c, exact(c.spec).quantities)
        for c in claim_set("nfnets").claims
        if not c.printed.symbolic
    }
    assert len(judged) == 14
    assert {v.outcome for v in judged.values()} == {"refuted"}
    assert {v.digits_right for v in judged.values()} == {3, 4}
    assert judged["relu"].remark == (
        "1.713; 3 of 17 digits right, an error typical of a simulation with 3,000,000 draws"
    )
    # The delta method by hand: SE(1/σ)·√n = √(κ − 1)/(2σ), κ of max(0, x) by its moments.
    m1, m2, m3, m4 = 1 / math.sqrt(2 * math.pi), 0.5, math.sqrt(2 / math.pi), 1.5
    var = m2 - m1**2
    kurtosis = (m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / var**2
    spread = math.sqrt(kurtosis - 1) / 2 / math.sqrt(var)
    error = 1.7139588594436646 - 1 / math.sqrt(var)
    assert judged["relu"].equal_error_samples == pytest.approx((spread / error) ** 2, rel=1e-9)


def test_the_standard_error_of_a_root_mean_square():
    # silu has a mean: E[y⁴] in full, by mpmath
    m2, m4 = (float(_mean(lambda x, p=p: (x * _logistic(x)) ** p, ())) for p in (2, 4))
    wanted = math.sqrt(m4 / m2**2 - 1) / 2 / math.sqrt(m2)
    found = exact("silu").gain_rms_y.asymptotic_std
    assert found == pytest.approx(wanted, rel=1e-9)
    (claim,) = claim_set("e3nn").claims
    remark = judge(claim, exact("silu").quantities).remark
    assert remark.endswith("within the error of its own 1,000,000 draws")
    assert abs(claim.printed.value - exact("silu").gain_rms_y.value) < 2 * wanted / 1e3


@pytest.mark.parametrize(
    ("name", "layer", "remark"),
    [
        ("torch", "sigmoid", "1.846; a placeholder, off by −46 %; 1/σ[y]: 4.801; 1/σ[dx]: 4.723"),
        ("torch", "tanh", "1.593; a rule of thumb, off by +5 %; 1/σ[dx]: 1.467"),
        ("torch", "selu", "1; a rule of thumb, off by −25 %; 1/σ[dx]: 0.966"),
        (
            "stylegan3",
            "silu",
            "1.677; a rule of thumb, off by −16 %; 1/σ[y]: 1.787; 1/σ[dx]: 1.623",
        ),
        ("feng2016-repost", "relu", "0.7071; 1/2 is Var[dx]"),
        ("feng2016-repost", "dropout", "1.414; off by −29 %"),  # every σ of it is the same
        ("normalized-silu", "silu", "1.7871872; 7 of 12 digits right"),  # no error of sampling
    ],
)
def test_a_number_of_no_convention_is_told_what_each_would_give(name, layer, remark):
    found = [c for c in claim_set(name).claims if c.spec.text == layer]
    assert judge(found[0], exact(layer).quantities).remark == remark


@pytest.mark.parametrize(
    ("text", "half_width", "digits"),
    [
        ("sqrt(1.55)", (math.sqrt(1.555) - math.sqrt(1.545)) / 2, 3),
        ("sqrt(0.50)", (math.sqrt(0.505) - math.sqrt(0.495)) / 2, 2),
        ("sqrt(1/2)", 0.0, None),
        ("sqrt(2/(1+0.01**2))", 0.0, None),
        ("0.0210", 5e-5, 3),
        ("-12.50e3", 5.0, 4),
        ("1", 0.0, None),
    ],
)
def test_a_decimal_claims_its_digits_also_under_a_root(text, half_width, digits):
    printed = parse_value(text)
    assert printed.half_width == pytest.approx(half_width, rel=1e-4)
    assert printed.digits == digits
    assert printed.symbolic is (digits is None)


@pytest.mark.parametrize("text", ["sqrt(-1.5)", "sqrt(0.0)", "sqrt(1.5.5)", "sqrt()", "sqrt(.)"])
def test_roots_of_no_use(text):
    with pytest.raises(ValueError, match="is not a number"):
        parse_value(text)


# --- the pages --------------------------------------------------------------------------------

LAYERS = ("sigmoid", "relu", "relu6", "elu", "celu", "silu", "tanh", "selu", "softsign")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "table_specs", lambda: LAYERS)
        built = constants.build(Sampling(5000))
    assert built
    return built


@pytest.fixture(scope="module")
def claims(document) -> list[Audited]:
    return audited(document)


def _rows(page: str, heading: str) -> list[dict[str, str]]:
    lines = page.partition(f"# {heading}\n")[2].partition("\n#")[0].splitlines()
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def _number(text: str) -> float:
    return float(text.replace("−", "-").rstrip(" %"))


@pytest.mark.slow
def test_the_data_hold_every_claim_the_surprising_first(claims, document):
    table = list(csv.DictReader(io.StringIO(rows(claims))))
    assert [(r["set"], r["quantity"], r["printed"]) for r in sorted(table, key=_place)] == [
        (s, c.quantity, c.printed.text) for s in set_names() for c in claim_set(s).claims
    ]
    ranks = [ORDER.index(row["grade"]) for row in table]
    assert ranks == sorted(ranks)
    for grade in ("wrong", "last digits are noise", "not a moment"):
        errors = [abs(float(r["relative_error"])) for r in table if r["grade"] == grade]
        assert errors
        assert errors == sorted(errors, reverse=True)
    (gamma,) = (r for r in table if r["printed"] == "1.7139588594436646")
    assert gamma["exact"] == "1.71285855"
    assert (gamma["relative_error"], gamma["digits_right"]) == ("0.000642", "3")
    assert gamma["command"] == "bnstats exact relu --quantity gain_y"
    with mp.workdps(25):  # the value to print instead, to every digit that it has
        truth = 1 / mp.sqrt(mp.mpf(1) / 2 - 1 / (2 * mp.pi))
        decimals = len(gamma["instead"].partition(".")[2])
        assert 12 <= decimals <= 16
        assert abs(mp.mpf(gamma["instead"]) - truth) <= mp.mpf(10) ** -decimals / 2
    row = next(r for r in document["results"] if r["layer"] == "relu")
    assert gamma["sampled"].startswith(f"{row['gain_y']['value']:.2f}"[:3])
    assert not any("−" in r["relative_error"] for r in table)


def _place(row: dict[str, str]) -> tuple[str, int]:
    """Return the place of a row's claim in its set."""
    found = [
        i
        for i, c in enumerate(claim_set(row["set"]).claims)
        if (c.spec.text, c.quantity, c.printed.text, c.source)
        == (row["layer"], row["quantity"], row["printed"], row["source"])
    ]
    assert len(found) == 1, row
    return row["set"], found[0]


@pytest.mark.slow
def test_the_page_begins_with_what_is_off(claims):
    page = render(claims)
    title, first, *_ = page.split("\n\n")
    assert title.startswith("# ")
    assert len(first.splitlines()) <= 5
    much = [a for a in claims if a.off and abs(a.error) > 0.01]
    in_code = [a for a in much if re.search(r"\.(py|ipynb|cpp|lua|h)\b", a.claim.source)]
    said = f"{len(much)} are off by more than 1 %, {len(in_code)} of them in source code"
    assert said in " ".join(first.split())
    code, texts = (_rows(page, t) for t in ("In source code", "In papers, posts and threads"))
    assert (len(code), len(code) + len(texts)) == (len(in_code), len(much))
    assert {row["set"] for row in code} >= {"torch", "stylegan3"}
    assert {row["set"] for row in texts} >= {"feng2016-repost"}
    effects = [abs(math.log(_number(row["wide"] or row["alone"]))) for row in code if row["alone"]]
    assert effects == sorted(effects, reverse=True)
    assert f"]({PLOT})" in page
    assert f"]({DATA})" in page


@pytest.mark.slow
def test_a_source_that_names_a_file_of_code_is_code(claims):
    found = {a.claim.set: a.in_program for a in claims}
    assert found["torch"]
    assert found["unit-scaling"]
    assert not found["feng2016"]
    assert not found["torch-24991"]


@pytest.mark.slow
def test_a_factor_scales_every_layer(claims):
    """By hand: 1/rms[y] of selu is 1 and 3/4 is printed; half of relu's variance is its σ²."""
    by_name = {(a.claim.set, a.claim.spec.text): a.growth for a in claims if a.growth}
    assert by_name["torch", "selu"].layer == pytest.approx(0.75, rel=1e-12)
    assert by_name["torch", "selu"].alone == pytest.approx(0.75**50, rel=1e-10)
    gradient = by_name["feng2016-repost", "relu"]  # divided by 1/2 in place of √(1/2)
    assert gradient.layer == pytest.approx(math.sqrt(2), rel=1e-12)
    assert gradient.wide is None


@pytest.mark.parametrize(
    ("quantity", "value", "factor"),
    [
        ("gain_y", "1.1", 1.1),
        ("gain_rms_y", "1.1", 1.1),
        ("std_y", "1.25", 1 / 1.25),
        ("rms_y", "1.25", 1 / 1.25),
        ("var_y", "1.25", 1 / math.sqrt(1.25)),
    ],
)
def test_what_is_printed_is_a_factor_or_a_divisor(quantity, value, factor):
    """Of the identity every moment of scale is 1, and a stack of it multiplies."""
    found = claim({"layer": "identity", "quantity": quantity, "value": value})
    stack = growth(found, 1.0)
    assert stack is not None
    assert stack.layer == pytest.approx(factor, rel=1e-12)
    assert stack.alone == pytest.approx(factor**DEPTH, rel=1e-12)
    assert stack.wide == pytest.approx(factor**DEPTH, rel=1e-4)


@pytest.mark.parametrize("layer", ["tanh", "selu", "silu", "relu"])
def test_a_wide_stack_is_what_propagate_predicts(layer):
    printed = 1.2
    truth = exact(layer).gain_rms_y.value
    found = growth(claim({"layer": layer, "quantity": "gain_rms_y", "value": f"{printed}"}), truth)
    dense = Dense("linear", Weights(Input(), 1 / 64, lambda xp, draws: draws), gaussian=True)
    block = (dense, Elementwise(layer, parse(layer), forward=printed))
    wanted = predict(DEPTH * block, 64, correlated=False)
    assert found is not None
    assert found.wide == pytest.approx(wanted.wide_y[-1], rel=1e-3)
    assert found.alone == pytest.approx(wanted.isolated_y[-1], rel=1e-6)


def test_a_mean_that_is_off_scales_nothing():
    assert growth(claim({"layer": "relu", "quantity": "mean_y", "value": "0.5"}), 0.4) is None
    assert growth(claim({"layer": "relu", "quantity": "chi", "value": "2"}), 1.0) is None


@pytest.mark.slow
def test_a_claim_under_another_law_has_a_row_of_its_own(monkeypatch, document):
    odd = replace(
        claim({"layer": "tanh", "quantity": "gain_y", "value": "1.9", "x_std": "2"}), set="odd"
    )
    monkeypatch.setattr(audit, "claim_sets", lambda: iter([ClaimSet("odd", (odd,))]))
    (a,) = audited(document)
    assert a.layer == "tanh at x_std=2"
    assert not a.drawn  # the table of constants is of standard normal inputs
    assert a.grade == "wrong"
    assert a.judged.command == "bnstats exact tanh --x-std 2.0 --quantity gain_y"
    assert float(a.judged.instead) == pytest.approx(exact("tanh", x_std=2).gain_y.value, rel=0.05)
    assert a.growth is not None
    assert a.growth.wide is None


@pytest.mark.slow
def test_the_page_sums_up_each_source(claims):
    table = {row["set"]: row for row in _rows(render(claims), "Sources")}
    assert set(table) == set(set_names())
    for name, row in table.items():
        mine = [a for a in claims if a.claim.set == name]
        assert int(row["claims"]) == len(claim_set(name).claims)
        assert int(row["refuted"]) == sum(a.refuted for a in mine)
        assert claim_set(name).title in row["source"]
    assert (table["nfnets"]["digits right"], table["nfnets"]["largest error"]) == (
        "3–4 of 15–17",
        "+0.12 %",
    )


@pytest.mark.slow
def test_errors_of_one_source_are_judged_together(claims):
    page = render(claims)
    # χ² by mpmath: k/Σ1/n, and the quantiles of χ²_k by its incomplete gamma function
    found = [
        a.verdict["equal_error_samples"] for a in claims if a.claim.set == "nfnets" and a.refuted
    ]
    k, total = len(found), sum(1 / n for n in found)
    low, high = (
        mp.findroot(lambda x, p=p: mp.gammainc(k / 2, 0, x / 2, regularized=True) - p, k) / total
        for p in (0.025, 0.975)
    )
    texts = [f"{float(n):.0e}".replace("e+0", "e") for n in (k / total, low, high)]
    assert (
        f"- nfnets: the {k} errors are, if independent and due to chance alone, those of "
        f"{texts[0]} draws (95 %: {texts[1]} to {texts[2]}). But all {k} are too large: chance "
        f"alone has all err one way in 1 of {2 ** (k - 1):,} cases.\n" in page
    )
    assert "1/σ[y] of `elu` and of `celu` are the same to all digits, but 1.27160" in page
    assert "1/σ[y] of `relu` and of `relu6` are the same to 8 digits" in page
    assert "100,000 are stated" in page


def _with_error(claims: list[Audited], factor: float, name: str, layer: str) -> list[Audited]:
    """Return the claims, the relative error of one multiplied."""
    changed = []
    for a in claims:
        if (a.claim.set, a.claim.spec.text) == (name, layer):
            a = replace(a)
            vars(a)["verdict"] = a.verdict | {"relative_error": a.error * factor}
        changed.append(a)
    return changed


@pytest.mark.slow
def test_one_error_the_other_way_is_not_called_a_bias(claims):
    assert "err one way" in render(claims)
    assert "err one way" not in render(_with_error(claims, -1, "nfnets", "relu"))


@pytest.mark.slow
def test_marks_are_the_claims_that_have_an_error(claims):
    shown = marks(claims)
    names = [m.set for m in shown]
    assert [n for i, n in enumerate(names) if n not in names[:i]] == [
        n for i, n in enumerate(names) if i == 0 or names[i - 1] != n
    ]  # a set's claims are together
    gamma = [m for m in shown if m.set == "nfnets" and m.error == "6.42e-04"]
    assert float(gamma[0].claimed) == pytest.approx(0.5e-16 / 1.714, rel=1e-2)
    half = [m for m in shown if (m.set, m.grade) == ("feng2016-repost", "wrong quantity")]
    assert half[0].claimed == "0.00e+00"
    assert "klambauer2017" not in names  # reproduced, and its values claim themselves
    refuted = [a for a in claims if a.refuted]
    assert sum(OUTCOMES[m.grade] == "refuted" for m in shown) == len(refuted)


@pytest.mark.slow
def test_the_digest_changes_with_what_is_shown_only(claims):
    wanted = digest(claims)
    assert digest(_with_error(claims, 1.5, "normalized-tanh", "tanh")) == wanted  # rounding
    assert digest(_with_error(claims, 1.1, "nfnets", "relu")) != wanted


@pytest.mark.slow
@needs_matplotlib
def test_the_plot_is_the_same_bytes_twice_and_names_no_day(claims, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    first = draw(claims)
    with matplotlib.rc_context({"font.size": 20.0, "svg.hashsalt": None}):
        assert draw(claims) == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert draw(claims) == first
    assert "<dc:date>" not in first
    assert digest(claims) in first
    assert first.count(">nfnets<") == 1
    assert not any(line != line.rstrip() for line in first.splitlines())


def _written(directory: Path, built: dict[str, Any]) -> Path:
    for name, text in constants.files(built).items():
        (directory / name).write_text(text, "utf-8")
    return directory


@pytest.mark.slow
def test_check_reads_the_plot_without_matplotlib(document, claims, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "table_specs", lambda: LAYERS)
    out = _written(tmp_path, document)
    settings = VerifySettings(samples=5000, seed=1)
    assert constants.check(out, settings)[0] == []  # no plot, nothing wrong
    (out / PLOT).write_text(f"<svg><!-- {digest(claims)} --></svg>", "utf-8")
    assert constants.check(out, settings)[0] == []
    (out / PLOT).write_text("<svg><!-- shows 0 --></svg>", "utf-8")
    assert constants.check(out, settings)[0] == [
        "published.svg: does not show these numbers; bnstats table published draws it anew"
    ]


@pytest.mark.slow
def test_without_matplotlib_the_tables_are_written_and_a_note_says_so(
    cli: Cli, document, tmp_path, monkeypatch
):
    out = _written(tmp_path, document)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    code, said, err = cli("table", "published", "--out", out)
    assert code == 0
    names = ("constants.md", "published.md", "published.csv")
    assert said == "".join(f"wrote {out / name}\n" for name in names)
    assert err == (
        "note: matplotlib is not installed, so published.svg is not drawn: "
        "pip install 'bnstats[plot]'\n"
    )
    assert not (out / PLOT).exists()


@pytest.mark.slow
@needs_matplotlib
def test_the_plot_is_written_beside_the_page(cli: Cli, document, claims, tmp_path):
    out = _written(tmp_path, document)
    code, said, err = cli("table", "published", "--out", out)
    assert (code, err) == (0, "")
    assert said.endswith(f"wrote {out / PLOT}\n")
    assert digest(claims) in (out / PLOT).read_text("utf-8")
    assert cli("table", "published", "--check", "--out", out) == (
        0,
        "published claims checked, 0 rows differ\n",
        "",
    )
    (out / DATA).write_text((out / DATA).read_text("utf-8").replace("0.2123", "0.2117"), "utf-8")
    code, said, _ = cli("table", "published", "--check", "--out", out)
    assert code == 1
    assert said.startswith("FAIL   published.csv: last digits are noise,feng2016,sigmoid")
