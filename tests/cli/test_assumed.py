"""What was assumed is said: on screen, in documents, and not where quiet is asked for."""

from __future__ import annotations

import pytest
from cli_support import Cli, read_document

from bnstats.layers import LAYERS
from bnstats.specs.spec import example_specs, parse

SPOKEN = [
    ("linear", "in_features=4, out_features=4, init=unit_fan_out, bias=false"),
    ("linear:in_features=9,init=torch", "out_features=4, bias=false"),
    ("softmax", "n=10"),
    ("layer_norm", "normalized_shape=64"),
    ("orthogonal", "in_features=4, out_features=4"),
]
SILENT = ["relu", "softmax:n=10", "torch.nn.Linear:in_features=4,out_features=4", "dropout"]


def assumed_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [line.removeprefix("assumed: ") for line in lines if line.startswith("assumed")]


@pytest.mark.parametrize(("spec", "said"), SPOKEN)
@pytest.mark.parametrize("command", [("exact",), ("compute", "-n", 1000, "--workers", 1)], ids=str)
def test_a_bare_layer_says_what_it_assumed(
    cli: Cli, command: tuple[str, ...], spec: str, said: str
) -> None:
    first, *rest = command
    assert assumed_lines(cli(first, spec, *rest).out) == [said]
    assert assumed_lines(cli("-q", first, spec, *rest).out) == []


@pytest.mark.parametrize("spec", SILENT)
def test_nothing_is_said_where_nothing_was_assumed(cli: Cli, spec: str) -> None:
    assert assumed_lines(cli("exact", spec).out) == []
    (result,) = read_document(cli("exact", spec, "--json").out)["results"]
    assert "assumed" not in result


def test_documents_hold_what_was_assumed(cli: Cli) -> None:
    found = read_document(cli("exact", "linear", "conv2d:kernel_size=2x3", "--json").out)["results"]
    assert [r["assumed"] for r in found] == [
        {"in_features": 4, "out_features": 4, "init": "unit_fan_out", "bias": False},
        {"in_channels": 2, "out_channels": 2, "init": "unit_fan_out", "bias": False},
    ]


_OF_A_LIBRARY = ("stride", "padding", "dilation", "groups", "output_padding", "depth_multiplier")


def test_every_size_that_changes_the_numbers_is_marked() -> None:
    """Where another size gives another σ, a default is an assumption.

    Widths of what shares a mask change neither, and stand for themselves.
    """
    from bnstats.layers import STANDARD
    from bnstats.statistics.exact import exact_values

    def sigmas(spec: str) -> tuple[float, ...]:
        values = exact_values(parse(spec).bound, STANDARD)
        return tuple(round(values[n].value, 12) for n in ("std_y", "std_dx") if n in values)

    for layer in LAYERS.values():
        example = example_specs(layer)[0]
        for p in layer.parameters:
            is_size = p.kind in ("int", "size") and isinstance(p.default, int)
            of_a_library = p.name in _OF_A_LIBRARY
            # A weight that no kernel is said to be of is that of a dense layer, in every library.
            of_a_library = of_a_library or (layer.name, p.name) == (
                "variance_scaling",
                "receptive_field",
            )
            if not is_size or of_a_library or f"{p.name}=" in example or p.assumed:
                continue
            joint = "," if ":" in example else ":"
            larger = f"{example}{joint}{p.name}={2 * p.default}"
            assert sigmas(larger) == sigmas(example), f"{layer.name}: mark {p.name} as Assumed"


def test_the_page_of_a_librarys_layer_asks_for_nothing(cli: Cli) -> None:
    page = cli("show", "torch.nn.Conv2d").out
    assert "one draw of conv2d:bias=true,init=torch" in page
    assert "int or 3x3 | same" in page


def test_a_stack_gives_a_librarys_layer_its_width(cli: Cli) -> None:
    def end(*args: str) -> float:
        given = ("--width", 24, "--depth", 2, "--networks", 60, "--json")
        (result,) = read_document(cli("propagate", *args, *given).out)["results"]
        return float(result["rows"][-1]["y"]["wide"])

    # x² ← x²/3 + 1/(3·24), and without bias
    assert end("Linear") == pytest.approx(((1 / 3 + 1 / 72) / 3 + 1 / 72) ** 0.5, rel=1e-9)
    assert end("torch.nn.Linear:bias=false") == pytest.approx(1 / 3, rel=1e-9)
    assert end("keras.Dense") == pytest.approx(1.0, rel=1e-9)
    error = cli("propagate", "Linear:in_features=3").err
    assert "in_features is the width of the stack" in error
