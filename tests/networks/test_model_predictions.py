"""What is expected of a model of the user's, beside stacks of specs, hands and draws."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import bnstats
from bnstats.networks.documents import propagation_document
from bnstats.networks.propagation import Propagation, Row, Side
from bnstats.report.page import PIPED
from bnstats.report.propagate import render

torch = pytest.importorskip("torch")
import models  # noqa: E402  (it needs torch)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

NEAR = pytest.approx
FAR = 4.5


class Residual(nn.Module):
    """branch(x) + x, or beside another branch."""

    def __init__(self, *branch: nn.Module, other: nn.Module | None = None) -> None:
        super().__init__()
        self.branch, self.other = nn.Sequential(*branch), other

    def forward(self, x: Any) -> Any:
        trunk = x if self.other is None else self.other(x)
        return self.branch(x) + trunk


class Does(nn.Module):
    """A linear layer, and what a function makes of it and of x."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16, bias=False)
        signed(self.linear)
        self.call = call

    def forward(self, x: Any) -> Any:
        return self.call(self.linear, x)


def signed(*layers: nn.Module, gain: float = math.sqrt(2)) -> nn.Module:
    """Return a chain whose weights are ± one number, so that their mean square is that of he's."""
    chain = nn.Sequential(*layers)
    for module in chain.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            with torch.no_grad():
                fan_in = module.weight[0].numel()
                module.weight.copy_(torch.randn_like(module.weight).sign() * gain / fan_in**0.5)
                if module.bias is not None:
                    module.bias.zero_()
    return chain


def drawn(make: Callable[[], nn.Module], shape: str, **options: Any) -> Propagation:
    return bnstats.propagate(make, input=shape, **{"networks": 2, "batch": 4} | options)


def numbers(row: Row, dx: Side | None) -> list[float]:
    """Return all predictions of a row, nan for none."""
    sides = [n for side in (row.y, dx) if side for n in (side.isolated, side.wide)]
    found = [*sides, row.correlation and row.correlation.wide]
    return [math.nan if n is None else n for n in found]


def same(expected: list[float]) -> Any:
    return pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)


CHAINS: dict[str, tuple[str, str, Callable[[], list[nn.Module]]]] = {
    "dense": (
        "linear gelu linear",
        "24",
        lambda: [nn.Linear(24, 24), nn.GELU(), nn.Linear(24, 24)],
    ),
    "parameters": (
        "linear:out_features=8 leaky_relu:negative_slope=0.3 dropout:p=0.2 linear:out_features=5",
        "24",
        lambda: [nn.Linear(24, 8), nn.LeakyReLU(0.3), nn.Dropout(0.2), nn.Linear(8, 5)],
    ),
    "convolutions": (
        "conv2d:out_channels=8,padding=1,stride=2 relu conv2d:out_channels=6,kernel_size=3x1,"
        "groups=2,dilation=2x1 batch_norm relu flatten linear:out_features=3",
        "4x9x9",
        lambda: [
            *(nn.Conv2d(4, 8, 3, 2, 1), nn.ReLU(True)),
            *(nn.Conv2d(8, 6, (3, 1), groups=2, dilation=(2, 1)), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(30, 3)),
        ],
    ),
    "pools": (
        "conv1d:out_channels=5 elu:alpha=0.5 max_pool1d:kernel_size=3,stride=2 avg_pool1d:"
        "kernel_size=2 flatten linear:out_features=7",
        "3x17",
        lambda: [
            *(nn.Conv1d(3, 5, 3), nn.ELU(0.5), nn.MaxPool1d(3, 2), nn.AvgPool1d(2)),
            *(nn.Flatten(), nn.Linear(15, 7)),
        ],
    ),
    "norms": (
        "conv2d:out_channels=8 group_norm:num_groups=4 tanh instance_norm conv2d:out_channels=4",
        "3x8x8",
        lambda: [
            *(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.Tanh(), nn.InstanceNorm2d(8)),
            nn.Conv2d(8, 4, 3),
        ],
    ),
    "tokens": (
        "layer_norm linear:out_features=12 glu softmax linear:out_features=4",
        "5x16",
        lambda: [
            *(nn.LayerNorm(16), nn.Linear(16, 12), nn.GLU(), nn.Softmax(-1), nn.Linear(6, 4)),
        ],
    ),
    "residual": (
        "linear skip layer_norm linear relu linear add linear",
        "16",
        lambda: [
            nn.Linear(16, 16),
            Residual(nn.LayerNorm(16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)),
            nn.Linear(16, 16),
        ],
    ),
    "nested": (
        "linear skip linear skip linear add:alpha=1 add tanh",
        "16",
        lambda: [
            nn.Linear(16, 16),
            Residual(nn.Linear(16, 16), Residual(nn.Linear(16, 16))),
            nn.Tanh(),
        ],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_model_that_is_a_stack_has_its_predictions(name: str) -> None:
    block, shape, layers = CHAINS[name]
    stack = bnstats.propagate(block, input=shape, networks=2, batch=4)
    model = drawn(lambda: signed(*layers()), shape)
    # A model has no row where a branch begins: its first layer has the gradient of both.
    befores = [None, *stack.rows[:-1]]
    expected = [
        (row, before.dx if before and before.layer == "skip" else row.dx)
        for before, row in zip(befores, stack.rows, strict=True)
        if row.layer != "skip"
    ]
    for mine, (theirs, dx) in zip(model.rows, expected, strict=True):
        assert numbers(mine, mine.dx) == same(numbers(theirs, dx)), theirs.name
    assert [(g.of, g.why) for g in model.gaps] == [(g.of, g.why) for g in stack.gaps]


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[[], nn.Module]]] = {
    "function": (lambda f, x: functional.gelu(f(x)), nn.GELU),
    "method": (lambda f, x: f(x).tanh(), nn.Tanh),
    "in place": (lambda f, x: functional.relu_(f(x)), nn.ReLU),
    "view": (lambda f, x: functional.silu(f(x).reshape(-1, 4, 4).unsqueeze(1)).flatten(1), nn.SiLU),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_function_does_is_what_its_module_does(name: str) -> None:
    call, module = FUNCTIONS[name]
    found = drawn(lambda: Does(call), "16")
    expected = drawn(lambda: signed(nn.Linear(16, 16, bias=False), module()), "16")
    assert len(expected.rows) == 2
    for mine, theirs in zip(found.rows[:2], expected.rows, strict=True):
        assert numbers(mine, mine.dx) == same(numbers(theirs, theirs.dx))
    assert not found.gaps
    for row in found.rows[2:]:  # the model itself, whose output is a view
        assert (row.y.isolated, row.y.wide) == (mine.y.isolated, mine.y.wide)


def test_branches_that_both_hold_weights_add_up() -> None:
    """x ↦ W₂·relu(W₁x) + W₃x, of he's weights: 2·2/2 + 2, and back as much."""
    branch = [nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)]

    def make() -> nn.Module:
        return signed(Residual(*map(copy.deepcopy, branch), other=nn.Linear(16, 16)), nn.ReLU())

    found = drawn(make, "16")
    rows = {row.name: row for row in found.rows}
    added, last = rows["0.add"], rows["1"]
    assert numbers(added, None)[:2] == same([2, 2])
    assert numbers(last, last.dx)[:4] == same([2**0.5] * 2 + [0.5**0.5] * 2)
    for name in ("0.branch.0", "0.other"):  # both take x
        assert numbers(rows[name], rows[name].dx)[2:4] == same([math.sqrt(0.5 * (2 + 2))] * 2)


MODULES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "Linear": (lambda: nn.Linear(24, 40), "24"),
    "Linear of tokens": (lambda: nn.Linear(24, 10, bias=False), "6x24"),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 5, stride=2, padding=2), "4x11"),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2), "4x9x7"),
    "Conv2d same": (lambda: nn.Conv2d(4, 4, 3, padding="same", dilation=2), "4x9x9"),
    "Conv3d": (lambda: nn.Conv3d(2, 4, (1, 3, 3), padding=(0, 1, 1)), "2x3x5x5"),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), "4x5x5"),
    "depthwise": (lambda: nn.Conv2d(6, 12, 3, groups=6), "6x7x7"),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), "3x9x9"),
    "MaxPool1d": (lambda: nn.MaxPool1d(2, ceil_mode=True), "3x7"),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), "3x8x8"),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), "3x7x7"),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(3), "3x9"),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), "3x8x8"),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(30), "30"),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(5, eps=0.1), "5x3x3"),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(5, affine=True), "5x4x4"),
    "GroupNorm": (lambda: nn.GroupNorm(3, 6), "6x3x3"),
    "LayerNorm": (lambda: nn.LayerNorm(12), "5x12"),
    "RMSNorm": (lambda: nn.RMSNorm(12, eps=0.01), "12"),
    "scaled norm": (lambda: scaled(nn.LayerNorm(12), 0.25), "12"),
    "PReLU": (lambda: nn.PReLU(init=0.4), "30"),
    "RReLU": (lambda: nn.RReLU(0.1, 0.6), "30"),
    "ELU": (lambda: nn.ELU(0.5, inplace=True), "30"),
    "Hardtanh": (lambda: nn.Hardtanh(-0.5, 2.0), "30"),
    "Softplus": (lambda: nn.Softplus(2, 10), "30"),
    "GELU": (lambda: nn.GELU("tanh"), "30"),
    "Threshold": (lambda: nn.Threshold(0.1, 2.0), "30"),
    "Dropout": (lambda: nn.Dropout(0.3), "30"),
    "Dropout2d": (lambda: nn.Dropout2d(0.3), "30x3x3"),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.3), "30"),
    "GLU": (lambda: nn.GLU(1), "6x4x4"),
    "Softmax": (lambda: nn.Softmax(1), "12"),
    "Softmax2d": (lambda: nn.Softmax(-3), "6x4x4"),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), "5x12"),
    "Flatten": (lambda: nn.Flatten(), "3x4x4"),
    "Identity": (lambda: nn.Identity(), "30"),
}


def scaled(norm: Any, scale: float) -> nn.Module:
    nn.init.constant_(norm.weight, scale)
    return norm


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_modules_alone_do_what_is_predicted(name: str, mode: Any) -> None:
    make, shape = MODULES[name]
    found = drawn(lambda: nn.Sequential(make()), shape, networks=200, batch=8, mode=mode)
    (row,) = found.rows
    normalises = "norm" in row.layer.lower() and "tch" in row.layer
    if mode == "eval" and normalises:
        assert found.gaps[0].why == "it is evaluated, with running means"
        return
    for side in (row.y, row.dx):
        assert side is not None
        assert side.isolated is not None
        assert side.ensemble.reliable
        error = side.ensemble.stderr or 0.0
        # Rounding of float32, where nothing is by chance, beside the error.
        apart = abs(side.ensemble.value - side.isolated) - 1e-5 * side.isolated
        assert apart < FAR * error, (side.ensemble, side.isolated)


def swish(x: Any) -> Any:
    return x * functional.sigmoid(x)


class Own(nn.Linear):
    """Another layer than the one that it is made of."""

    def __init__(self) -> None:
        super().__init__(4, 4)

    def forward(self, x: Any) -> Any:
        return super().forward(2 * x)


class Twice(nn.Module):
    """One layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)

    def forward(self, x: Any) -> Any:
        return self.linear(functional.relu(self.linear(x)))


def shifted(module: Any, bias: float = 0.0, weight: float = 0.0) -> nn.Module:
    with torch.no_grad():
        module.bias += bias
        module.weight += weight
    return module


def constant_bias() -> nn.Module:
    layer = nn.Linear(16, 16)
    nn.init.constant_(layer.bias, 0.5)
    return layer


UNKNOWN: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "operation between": (lambda: Does(lambda f, x: f(f(x) * 2)), "16", "mul is no layer of"),
    "swish": (lambda: Does(lambda f, x: functional.relu(swish(f(x)))), "16", "mul is no layer of"),
    "arguments": (
        lambda: Does(lambda f, x: functional.leaky_relu(f(x), 0.3)),
        "16",
        "leaky_relu has arguments that are not read",
    ),
    "sum with a factor": (
        lambda: Does(lambda f, x: torch.add(f(x), x, alpha=2)),
        "16",
        "it is no plain sum",
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(9, 8)), "tokens:9x4", "Embedding is no layer"),
    "padding": (
        lambda: nn.Sequential(nn.Conv1d(3, 3, 3, padding=1, padding_mode="reflect")),
        "3x8",
        "its padding is reflect",
    ),
    "axis": (lambda: nn.Sequential(nn.Softmax(1)), "5x6", "it works along another axis"),
    "affine": (
        lambda: nn.Sequential(shifted(nn.LayerNorm(16), bias=0.1)),
        "16",
        "its scale or bias differs between channels",
    ),
    "own class": (
        lambda: nn.Sequential(Own(), nn.ReLU()),
        "4",
        "linear has arguments",
    ),
    "batch": (
        lambda: Does(lambda f, x: functional.relu(f(x).reshape(-1, 8))),
        "16",
        "it takes no batch",
    ),
    "several sides": (lambda: nn.Sequential(nn.LayerNorm((3, 4, 4))), "3x4x4", "normalized_shape"),
    "another law": (lambda: nn.Sequential(nn.LSTM(6, 8)), "4x6", "lstm_cell is another layer"),
    "uneven padding": (lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1))), "3x5x5", "4 sides"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_where_nothing_is_known_that_is_said(name: str) -> None:
    make, shape, why = UNKNOWN[name]
    found = drawn(make, shape)
    first = found.gaps[0]
    assert why in first.why
    assert {gap.of for gap in found.gaps} == {"isolated", "wide"}
    begun = False
    for row in found.rows:
        begun |= row.name == first.begins
        assert (row.y.isolated is None) == (row.y.wide is None) == begun, row.name
    text = " ".join(render(propagation_document(found), PIPED).split())
    assert text.count("not known from") == 1
    assert f"– alone, wide: not known from {first.begins} on: {first.why}" in text


WIDE_ONLY: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "its weights are those of linear": (Twice, "linear#2"),
    "its weights are not drawn about 0": (
        lambda: nn.Sequential(shifted(nn.Linear(16, 16), weight=0.2)),
        "0",
    ),
    "its bias is not drawn": (lambda: nn.Sequential(constant_bias()), "0"),
    "what it adds is not independent": (lambda: nn.Sequential(Residual(nn.LayerNorm(16))), "0.add"),
    "what it adds is not normal": (
        lambda: nn.Sequential(Residual(nn.Linear(16, 16), nn.ReLU())),
        "0.add",
    ),
    "what it gets is not normal": (
        lambda: nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Tanh()),
        "2",
    ),
    "its channels differ": (
        lambda: nn.Sequential(
            *(nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3, padding=1), nn.Flatten()),
            *(nn.Unflatten(1, (8, 4)), nn.Linear(4, 4)),
        ),
        "3",
    ),
    "there is no formula for it": (lambda: nn.Sequential(nn.Softmax(-1)), "0"),
}


@pytest.mark.parametrize("why", WIDE_ONLY)
def test_a_wide_network_needs_more(why: str) -> None:
    make, begins = WIDE_ONLY[why]
    found = drawn(make, "16")
    assert [(gap.of, gap.begins, gap.why) for gap in found.gaps] == [("wide", begins, why)]
    assert all(row.y.isolated for row in found.rows)


def test_maps_may_be_seen_as_rows() -> None:
    """Of padded maps of 4 × 4, whose positions differ, a row of a channel is one of 16."""

    def make(*last: nn.Module) -> nn.Module:
        return signed(nn.Conv2d(3, 4, 3, padding=1), *last)

    rows = drawn(lambda: make(nn.Flatten(2), nn.Linear(16, 5)), "3x4x4").rows
    maps = drawn(lambda: make(nn.Flatten(), nn.Linear(64, 5)), "3x4x4").rows
    assert len(rows) == len(maps) == 3
    for row, other in zip(rows, maps, strict=True):
        assert numbers(row, None) == same(numbers(other, None))


def test_what_is_behind_an_operation_has_no_gradient_that_is_known() -> None:
    """The second layer's output is taken by a product that no row shows."""
    found = drawn(lambda: Does(lambda f, x: f(x) + torch.exp(-f(x))), "16")
    first, second = (row.dx for row in found.rows[:2])
    assert first is not None
    assert second is not None
    assert first.isolated is second.isolated is None
    ended = drawn(lambda: Does(lambda f, x: functional.relu(f(torch.exp(x)))), "16")
    dx = [row.dx for row in ended.rows]
    assert dx[0] is not None
    assert dx[0].isolated == NEAR(1.0, rel=1e-6), "from the output to there all is known"
    assert ended.rows[-1].y.isolated is None


def test_predictions_do_not_depend_on_what_is_shown_nor_on_who_draws(tmp_path: Any) -> None:
    path, shape = "models:ResNet18:width=8", "3x32x32"
    whole = bnstats.propagate(path, input=shape, networks=4, batch=4)
    some = bnstats.propagate(path, input=shape, networks=4, batch=4, rows="*.add")
    assert [row for row in whole.rows if row.layer == "add"] == [
        replace(row, depth=of.depth)
        for row, of in zip(some.rows, (r for r in whole.rows if r.layer == "add"), strict=True)
    ]
    bnstats.propagate(path, input=shape, networks=2, batch=4, checkpoint=tmp_path)
    for how in ({"workers": 2}, {"checkpoint": tmp_path}):
        assert bnstats.propagate(path, input=shape, networks=4, batch=4, **how) == whole
    assert whole.rows[-1].y.isolated is not None
    assert [(gap.of, gap.begins) for gap in whole.gaps] == [("wide", "maxpool")]


def test_attributes_of_the_users_are_no_weights() -> None:
    class Weighted(nn.Module):
        weight = 3.0

        def __init__(self) -> None:
            super().__init__()
            self.linear, self.bias = nn.Linear(16, 16), "none"

        def forward(self, x: Any) -> Any:
            return self.weight * self.linear(x)

    found = drawn(Weighted, "16")
    assert [row.y.isolated is None for row in found.rows] == [False, True]
    assert found.gaps[0].why == "Weighted is no layer of the catalogue"


def test_weights_that_are_computed_count_as_they_are() -> None:
    def make() -> nn.Module:
        layer = nn.Linear(64, 64, bias=False)
        signed(layer)
        return nn.Sequential(torch.nn.utils.spectral_norm(layer, n_power_iterations=20), nn.ReLU())

    found = drawn(make, "64", networks=100)
    side = next(row.y for row in found.rows if row.layer == "Linear")
    assert side.isolated == NEAR(side.ensemble.value, abs=FAR * (side.ensemble.stderr or 0))
    assert side.isolated < 0.6, "its norm was about √2·2"


def test_layers_that_other_draws_lack_are_not_predicted() -> None:
    class Changes(models.ChangesItsLayers):
        pass

    found = drawn(Changes, "4", networks=12, rows="first")
    assert {gap.why for gap in found.gaps} == {"other draws call other layers"}
    assert found.rows[0].y.isolated is None


def test_weights_count_as_they_are_on_average() -> None:
    """Of a layer whose scale is drawn too, ±1 and ±3 times: E[y²] = 5."""

    def make() -> nn.Module:
        return signed(nn.Linear(256, 8, bias=False), gain=float(torch.randint(2, ()) * 2 + 1))

    found = drawn(make, "256", networks=40)
    expected = found.rows[0].y.isolated
    assert expected is not None
    assert expected**2 == NEAR(5, abs=4.0 * 4 / math.sqrt(40))
    large = round((expected**2 - 1) / 8 * 40)
    assert expected**2 == NEAR((40 - large + 9 * large) / 40, rel=1e-5)
