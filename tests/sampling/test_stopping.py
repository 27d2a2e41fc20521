"""Stopping at a precision or a time, and what the result then says of itself."""

from __future__ import annotations

import json
import math

import pytest

from bnstats import compute
from bnstats.cli.main import main
from bnstats.errors import BnstatsError
from bnstats.sampling.iid import chunk_draws
from bnstats.specs.spec import parse


@pytest.mark.parametrize("sampler", ["iid", "sobol"])
@pytest.mark.parametrize("precision", [1e-2, 2e-3])
def test_reaches_the_precision_and_not_much_more(sampler: str, precision: float) -> None:
    result = compute("sigmoid", sampler=sampler, precision=precision)  # type: ignore[arg-type]
    assert result.status == "complete"
    for estimate in (result.std_y, result.std_dx):
        assert estimate.interval is not None
        low, high = estimate.interval
        assert (high - low) / 2 <= precision * estimate.value
    if sampler == "iid":
        chunks = result.samples / chunk_draws(parse("sigmoid").bound)
        assert math.log2(chunks).is_integer()
        before = compute("sigmoid", samples=max(result.samples // 2, 1))
        assert before.std_dx.interval is not None
        width = before.std_dx.interval[1] - before.std_dx.interval[0]
        assert chunks == 1 or width / 2 > precision * before.std_dx.value


def test_the_digits_are_those_of_as_many_samples() -> None:
    stopped = compute("relu", precision=2e-3, workers=2, seed=9)
    asked = compute("relu", samples=stopped.samples, workers=1, seed=9)
    assert stopped.quantities == asked.quantities


def test_does_not_stop_before_the_interval_can_be_trusted() -> None:
    # One chunk holds 170 draws' worth of masks at p = 0.999: wide targets are met at n_eff ≥ 100.
    result = compute("dropout:p=0.9999", precision=0.5)
    assert result.std_dx.n_eff >= 100
    assert result.status == "complete"


@pytest.mark.parametrize("seed", range(8))
def test_unseen_tails_do_not_stop_a_run(seed: int) -> None:
    """e^x: a sample's own standard error is too small for want of its tails, often by a third."""
    result = compute("exponential", precision=0.01, seed=seed, direction="backward")
    # E[dx²] = e², E[dx⁴] = 3e⁸: the delta method's relative error of σ[dx] is √(3e⁴ − 1)/(2√n).
    assert result.samples >= (1.96 * math.sqrt(3 * math.exp(4) - 1) / 2 / 0.01) ** 2


def test_a_limit_on_samples_or_time_is_reported() -> None:
    result = compute("relu", precision=1e-9, samples=100_000)
    assert (result.status, result.samples) == ("target_not_met", 100_000)
    result = compute("relu", precision=1e-9, max_time=0.2)
    assert result.status == "target_not_met"
    assert result.samples > 0


def test_a_time_alone_is_a_complete_run() -> None:
    result = compute("relu", max_time=0.2)
    assert result.status == "complete"
    assert result.samples > 0
    assert compute("relu", max_time=1e-9, samples=10**9).status == "target_not_met"


@pytest.mark.parametrize("option", ["precision", "max_time"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_targets_are_positive(option: str, value: float) -> None:
    with pytest.raises(BnstatsError, match="is not a positive number"):
        compute("relu", **{option: value})  # type: ignore[arg-type]


def test_exit_code_and_document(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compute", "relu", "--precision", "1e-9", "-n", "1e5", "--json"])
    out, err = capsys.readouterr()
    assert code == 3
    assert json.loads(out)["status"] == "target_not_met"
    assert "not reached" in err
    code = main(["compute", "relu", "--sampler", "sobol", "--precision", "1e-4", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (code, document["status"]) == (0, "complete")
    assert document["provenance"]["sampler"] == "sobol"


@pytest.mark.parametrize("text", ["0", "-1", "soon", "5d", ""])
def test_a_time_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compute", "relu", "--max-time", text]) == 2
    assert "is not a time such as 60s, 5m or 1h" in capsys.readouterr().err
