"""The audit of published constants: verdicts found a second way, and how they are rendered."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mpmath as mp
import pytest
from cli_support import Cli
from oracles import normal_points

from bnstats.api import exact
from bnstats.claims import claim_set
from bnstats.claims.grades import OUTCOMES
from bnstats.claims.values import parse_value
from bnstats.claims.verdict import judge
from bnstats.sampling.settings import Sampling
from bnstats.tables import constants
from bnstats.tables.plot import digest, draw, marks
from bnstats.tables.published import PLOT, audited, render
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


def _rows(page: str, heading: str) -> list[dict[str, str]]:
    lines = page.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_the_page_holds_every_claim_the_surprising_first(document):
    page = render(document)
    rows = _rows(page, "Claims")
    assert len(rows) == sum(len(row["claims"]) for row in document["results"])
    ranks = [ORDER.index(row["verdict"]) for row in rows]
    assert ranks == sorted(ranks)
    for grade in ("wrong", "last digits are noise", "not a moment"):
        errors = [
            abs(float(row["relative error"].replace("−", "-").rstrip(" %")))
            for row in rows
            if row["verdict"] == grade
        ]
        assert errors
        assert errors == sorted(errors, reverse=True)
    assert (rows[0]["set"], rows[0]["layer"]) == ("feng2016-repost", "`relu`")
    counts = Counter(row["verdict"] for row in rows)
    assert all(f"{count} {grade}" in page for grade, count in counts.items())
    (gamma,) = (r for r in rows if r["printed"] == "1.7139588594436646")
    assert gamma["exact"] == "1.71285855"
    assert (gamma["relative error"], gamma["digits right"]) == ("+0.064 %", "3 of 17")
    row = next(r for r in document["results"] if r["layer"] == "relu")
    low, high = row["gain_y"]["interval"]
    shown = [float(end) for end in gamma["95 % interval"].strip("[]").split(", ")]
    assert shown == pytest.approx([low, high], abs=1e-3)
    assert f"]({PLOT})" in page


def test_the_page_sums_up_each_source(document):
    page = render(document)
    rows = {row["set"]: row for row in _rows(page, "Sources")}
    for name, row in rows.items():
        mine = [c for r in document["results"] for c in r["claims"] if c["set"] == name]
        assert int(row["claims"]) == len(mine)
        assert int(row["refuted"]) == sum(c["verdict"] == "refuted" for c in mine)
        assert row["convention"] == claim_set(name).convention != ""
    assert (rows["nfnets"]["digits right"], rows["nfnets"]["largest error"]) == (
        "3–4 of 16–17",
        "+0.086 %",
    )
    assert "unit-scaling" not in rows  # none of its layers is in this document


def test_errors_of_one_source_are_judged_together(document):
    page = render(document)
    # χ² by mpmath: k/Σ1/n, and the quantiles of χ²_k by its incomplete gamma function
    found = [
        c["equal_error_samples"]
        for r in document["results"]
        for c in r["claims"]
        if c["set"] == "nfnets" and c["verdict"] == "refuted"
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
        f"alone has all err one way in 1 of {2 ** (k - 1)} cases.\n" in page
    )
    assert "1/σ[y] of `elu` and of `celu` are the same to all digits, but 1.27160" in page
    assert "1/σ[y] of `relu` and of `relu6` are the same to 8 digits" in page
    assert "100,000 are stated" in page


def test_one_error_the_other_way_is_not_called_a_bias(document):
    changed = copy.deepcopy(document)
    relu = next(r for r in changed["results"] if r["layer"] == "relu")
    gamma = next(c for c in relu["claims"] if c["set"] == "nfnets")
    gamma["relative_error"] *= -1
    assert "err one way" in render(document)
    assert "err one way" not in render(changed)


def test_marks_are_the_claims_that_have_an_error(document):
    shown = marks(document)
    assert [m.grade for m in shown] == sorted((m.grade for m in shown), key=ORDER.index)
    by_label = {m.label: m for m in shown}
    gamma = by_label["relu 1/σ[y] = 1.7139588594436646  (nfnets)"]
    assert float(gamma.error) == pytest.approx(6.424e-4, rel=2e-3)
    assert float(gamma.claimed) == pytest.approx(0.5e-16 / 1.714, rel=1e-2)
    assert by_label["relu σ[dx] = 1/2  (feng2016-repost)"].claimed == "0.00e+00"
    assert not any("sqrt(1/2)" in label for label in by_label)  # reproduced, and claims itself
    assert not any("E[dx]" in label for label in by_label)  # the truth is 0
    refuted = [a for a in audited(document) if a.claim["verdict"] == "refuted"]
    assert sum(OUTCOMES[m.grade] == "refuted" for m in shown) == len(refuted)


def test_the_digest_changes_with_what_is_shown_only(document):
    wanted = digest(document)
    changed = copy.deepcopy(document)
    changed["provenance"]["argv"] = ["other"]
    tanh = next(r for r in changed["results"] if r["layer"] == "tanh")
    rounded = next(c for c in tanh["claims"] if c["set"] == "normalized-tanh")
    rounded["relative_error"] = 3e-15  # as another machine rounds
    assert digest(changed) == wanted
    refuted = next(c for r in changed["results"] for c in r["claims"] if c["verdict"] == "refuted")
    refuted["relative_error"] *= 1.1
    assert digest(changed) != wanted


@needs_matplotlib
def test_the_plot_is_the_same_bytes_twice_and_names_no_day(document, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    first = draw(document)
    with matplotlib.rc_context({"font.size": 20.0, "svg.hashsalt": None}):
        assert draw(document) == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert draw(document) == first
    assert "<dc:date>" not in first
    assert digest(document) in first
    assert first.count("1.7139588594436646") == 1
    assert not any(line != line.rstrip() for line in first.splitlines())


def _written(directory: Path, built: dict[str, Any]) -> Path:
    for name, text in constants.files(built).items():
        (directory / name).write_text(text, "utf-8")
    return directory


def test_check_reads_the_plot_without_matplotlib(document, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "table_specs", lambda: LAYERS)
    out = _written(tmp_path, document)
    settings = VerifySettings(samples=5000, seed=1)
    assert constants.check(out, settings)[0] == []  # no plot, nothing wrong
    (out / PLOT).write_text(f"<svg><!-- {digest(document)} --></svg>", "utf-8")
    assert constants.check(out, settings)[0] == []
    (out / PLOT).write_text("<svg><!-- shows 0 --></svg>", "utf-8")
    assert constants.check(out, settings)[0] == [
        "published.svg: does not show these numbers; bnstats table published draws it anew"
    ]


def test_without_matplotlib_the_tables_are_written_and_a_note_says_so(
    cli: Cli, document, tmp_path, monkeypatch
):
    out = _written(tmp_path, document)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    code, said, err = cli("table", "published", "--out", out)
    assert code == 0
    assert said == "".join(f"wrote {out / name}\n" for name in ("constants.md", "published.md"))
    assert err == (
        "note: matplotlib is not installed, so published.svg is not drawn: "
        "pip install 'bnstats[plot]'\n"
    )
    assert not (out / PLOT).exists()


@needs_matplotlib
def test_the_plot_is_written_beside_the_page(cli: Cli, document, tmp_path):
    out = _written(tmp_path, document)
    code, said, err = cli("table", "published", "--out", out)
    assert (code, err) == (0, "")
    assert said.endswith(f"wrote {out / PLOT}\n")
    assert digest(json.loads((out / "constants.json").read_text("utf-8"))) in (
        out / PLOT
    ).read_text("utf-8")
