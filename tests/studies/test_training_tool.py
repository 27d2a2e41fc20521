"""The study of training: its networks, its identity, and what its page says."""

from __future__ import annotations

import copy
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.studies
torch = pytest.importorskip("torch", reason="torch, of the extra training, is not installed")
pytest.importorskip("sklearn", reason="scikit-learn, of the extra training, is not installed")

import training  # noqa: E402
import training_report  # noqa: E402
from training_nets import ACTIVATIONS, MOMENTUM, Design, Scaled, accuracy, gradients  # noqa: E402
from training_nets import train as train_nets  # noqa: E402

SEEDS = (0, 1, 2)


def some(design: Design, count: int = 8) -> tuple[Any, Any, list[Any]]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(len(SEEDS), count, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (len(SEEDS), count), generator=generator)
    return x, labels, design.weights(SEEDS, 6, 3)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_constants_make_both_directions_one(name: str) -> None:
    x = torch.randn(400_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    of = ACTIVATIONS[name]
    a, b = of.factors("separate")
    x.requires_grad_()
    y = Scaled.apply(x, of, a, b)
    (dx,) = torch.autograd.grad(y.sum(), x)
    assert float(y.detach().square().mean()) == pytest.approx(1, abs=0.01)
    assert float(dx.square().mean()) == pytest.approx(1, abs=0.01)
    if of.centred:
        assert abs(float(y.detach().mean())) < 0.01
    forward, backward = of.factors("forward"), of.factors("backward")
    assert forward == (a, a)
    assert backward == (b, b)
    assert of.factors("none") == (1, 1)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("alpha", [None, 0.5])
def test_gradients_are_those_of_each_networks_own_loss(name: str, alpha: float | None) -> None:
    design = Design(3, name, "forward", width=5, alpha=alpha)
    x, labels, weights = some(design)
    found = gradients(design, x, labels, weights)
    for network in range(len(SEEDS)):
        one = [w[network : network + 1] for w in weights]
        h = 1e-6
        for layer, w in enumerate(one):
            up, down = w.clone(), w.clone()
            up[0, 1, 2] += h
            down[0, 1, 2] -= h
            losses = [
                float(
                    torch.nn.functional.cross_entropy(
                        design.output(
                            x[network : network + 1],
                            [v if i == layer else w for i, w in enumerate(one)],
                        )[0],
                        labels[network],
                    )
                )
                for v in (up, down)
            ]
            slope = (losses[0] - losses[1]) / (2 * h)
            assert float(found[layer][network, 1, 2]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_a_step_is_gradient_descent_with_momentum() -> None:
    design = Design(2, "tanh", "none", width=5)
    x, labels, weights = some(design)
    rates = [torch.full((len(SEEDS),), 0.1 * (layer + 1)) for layer in range(3)]
    found = train_nets(design, weights, [(x, labels)] * 2, rates)
    first = gradients(design, x, labels, weights)
    once = [w - rate[0] * g for w, g, rate in zip(weights, first, rates, strict=True)]
    second = gradients(design, x, labels, once)
    for w, f, s, rate, end in zip(once, first, second, rates, found, strict=True):
        torch.testing.assert_close(end, w - rate[0] * (MOMENTUM * f + s))


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "relu"])
def test_on_a_chain_separate_is_a_learning_rate_for_every_layer(name: str) -> None:
    found = training.identity(name, 4, SEEDS)
    assert found["first"] < 1e-12
    assert found["epoch"] < 1e-12
    assert training.identity(name, 64, SEEDS)["first"] < 1e-12
    separate = Design(4, name, "separate")
    assert abs(separate.ratio() - 1) > 0.01  # and it is no identity of one with itself


def test_where_branches_meet_it_is_not() -> None:
    assert min(training.cosines("tanh", 8, None, SEEDS)) > 1 - 1e-12
    assert max(training.cosines("tanh", 8, 1.0, SEEDS)) < 0.999


def test_relu_has_one_scaling() -> None:
    designs = list(training.contenders([4]))
    assert [d.scale for d in designs if d.activation == "relu"] == ["none", "forward"]
    assert len(designs) == 2 + 3 * 4 + 4
    assert Design(4, "relu", "separate").ratio() == 1


def test_images_are_split_and_the_test_is_shared() -> None:
    digits = training.Digits.of(SEEDS, torch.float64)
    counts = [len(labels[0]) for _, labels in digits]
    assert counts == [1797 - 700, 200, 500]
    assert torch.equal(digits.test[0][0], digits.test[0][2])
    for seed in range(len(SEEDS)):  # the whole of the rest, each image once
        both = torch.cat([digits.train[0][seed], digits.validation[0][seed]])
        assert len(both.unique(dim=0)) > 1250  # hardly any image is there twice
        assert float(both.square().mean()) == pytest.approx(1, rel=1e-9)
        assert float(both.mean(0).abs().max()) < 1e-9
    assert not torch.equal(digits.train[0][0], digits.train[0][1])
    seen = [x for x, _ in digits.batches(SEEDS, 0)]
    assert len(seen) == 17
    assert len(torch.cat([x[0] for x in seen]).unique(dim=0)) > 1000


def test_networks_that_are_not_finite_tell_nothing_right() -> None:
    design = Design(2, "tanh", "none", width=5)
    x, labels, weights = some(design)
    weights[1][1] = math.nan
    found = accuracy(design, x, labels, weights)
    assert found[1] == 0
    assert found[0] > 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "RATES", (0.01, 0.1))
        patch.setattr(training, "contenders", lambda depths: CONTENDERS)
        training.main(["--out", str(folder), "--depths", "2", "--seeds", "3", "--epochs", "1"])
    return folder


CONTENDERS = [Design(2, "tanh", "forward"), Design(2, "tanh", "separate")]


def test_a_finished_contender_is_not_trained_again(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "RATES", (0.01, 0.1))
    monkeypatch.setattr(training, "contenders", lambda depths: CONTENDERS)
    path = made / "training.json"
    whole = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(whole | {"runs": whole["runs"][:1]}), "utf-8")
    argv = ["--out", str(made), "--depths", "2", "--seeds", "3", "--epochs", "1"]
    training.main(argv)
    assert capsys.readouterr().out.startswith("chain tanh 2 separate ")
    assert json.loads(path.read_text("utf-8"))["runs"] == whole["runs"]
    with pytest.raises(SystemExit):
        training.main([*argv[:-1], "2"])
    assert "other settings" in capsys.readouterr().err


def test_the_page_says_what_the_record_holds(made: Path) -> None:
    record = json.loads((made / "training.json").read_text("utf-8"))
    page = (made / "training.md").read_text("utf-8")
    assert page == training_report.markdown(record)
    run = record["runs"][1]
    means = [statistics.fmean(v) for v in run["validation"]]
    best = means.index(max(means))
    accuracy_text = f"{100 * statistics.fmean(run['test'][best]):.1f} ± "
    (row,) = (line for line in page.splitlines() if line.startswith("| tanh | separate"))
    assert accuracy_text in row
    assert "contenders are trained" not in page
    part = training_report.markdown(record | {"runs": record["runs"][:1]})
    assert "**1 of 2 contenders are trained" in part


def test_differences_are_paired_and_hold_together(made: Path) -> None:
    record = copy.deepcopy(json.loads((made / "training.json").read_text("utf-8")))
    forward, separate = record["runs"]
    base = [0.5, 0.7, 0.9]
    for run, shift in ((forward, 0.0), (separate, 0.05)):
        for part in ("validation", "test"):
            run[part] = [[v + shift + 0.001 * i for i, v in enumerate(base)]] * 2
    separate["test"] = [[v + 0.05 + e for v, e in zip(base, (0, 0.01, 0.02), strict=True)]] * 2
    ((key, (mean, half)),) = training_report.differences(training_report.chosen(record)).items()
    assert key == ("chain", 2, "tanh", "separate")
    noise = [0.05 + e - 0.001 * i for i, e in enumerate((0, 0.01, 0.02))]
    assert mean == pytest.approx(statistics.fmean(noise))
    # Student's t of two degrees of freedom, 95 %: 4.3027
    assert half == pytest.approx(4.302653 * statistics.stdev(noise) / math.sqrt(3), rel=1e-6)
