"""The calls of the manual's page on gains give the scales that it promises, in each library."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import bnstats
from bnstats.api import exact
from bnstats.statistics.gains import gain_choices
from bnstats.statistics.quantities import GAINS, QUANTITIES

PAGE = (Path(bnstats.__file__).parent / "manual" / "gains.md").read_text("utf-8")

# Every harness leaves the scale of y behind a gelu and of dx before it, whose truth is 1.
MEASURE = {
    "torch": """
import torch.nn.functional as F
x = torch.randn(4000, 500, requires_grad=True)
def y(layer):
    return layer(F.gelu(x)).detach().numpy()
out = y(backward)
(dx,) = torch.autograd.grad(backward(F.gelu(x)), x, torch.randn(4000, 300))
dx = dx.numpy()
""",
    "flax": """
import jax, numpy as np
x = jax.random.normal(jax.random.key(1), (4000, 500))
def gelu(x):
    return jax.nn.gelu(x, approximate=False)
def y(layer):
    return np.asarray(layer(gelu(x)))
dy = jax.random.normal(jax.random.key(2), (4000, 300))
dx = np.asarray(jax.vjp(lambda x: backward(gelu(x)), x)[1](dy)[0])
""",
    "keras": """
import jax, numpy as np
x = jax.random.normal(jax.random.key(1), (4000, 500))
def gelu(x):
    return jax.nn.gelu(x, approximate=False)
def y(layer):
    return np.asarray(layer(gelu(x)))
y(backward)
dy = jax.random.normal(jax.random.key(2), (4000, 300))
kernel = np.asarray(backward.kernel)
dx = np.asarray(jax.vjp(lambda x: gelu(x) @ kernel, x)[1](dy)[0])
""",
}
SCALES = "\nfound.append([(y(forward)**2).mean()**0.5, y(centred).std(0).mean(), dx.std()])\n"
DRAWS = 10


@pytest.mark.parametrize("library", MEASURE)
def test_the_calls_give_the_scales_that_the_page_promises(library: str) -> None:
    for needed in (library, "torch" if library == "torch" else "jax"):
        if find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    (code,) = re.findall(rf"^## {library}\n\n```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    draw = textwrap.indent(code + MEASURE[library] + SCALES, "    ")
    script = f"found = []\nfor _ in range({DRAWS}):\n{draw}\nfor row in found:\n    print(*row)\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    scales = np.array([line.split() for line in done.stdout.splitlines()], float)
    assert scales.shape == (DRAWS, 3)
    # A fifth of E[y²] is the mean of a gelu, which each of 300 units sums by weights of its own: a
    # standard error of 0.8 % of a draw, 0.25 % of ten (flax's are one, by
    # the seed of its page). Each other gain is 3 % or more away.
    assert scales.mean(axis=0) == pytest.approx([1.0] * 3, abs=0.012)


def test_the_gains_of_the_page_are_those_of_gelu() -> None:
    known = exact("gelu").quantities
    for name, printed in (("gain_rms_y", "1.5335"), ("gain_y", "1.7009"), ("gain_dx", "1.4811")):
        assert f"{known[name].value:.4f}" == printed
        assert PAGE.count(printed) >= 3
    for layer, *costs in (("gelu", "1.035", "1.148", "0.966"), ("sigmoid", "0.391", None, "2.558")):
        q = {name: value.value for name, value in exact(layer).quantities.items()}
        ratios = (q["std_dx"] / q["rms_y"], q["std_dx"] / q["std_y"], q["rms_y"] / q["std_dx"])
        for ratio, cost in zip(ratios, costs, strict=True):
            assert cost is None or (f"{ratio:.3f}" == cost and cost in PAGE)


def test_the_manual_page_of_a_layer_says_which_gain(cli) -> None:
    lines = cli("show", "sigmoid").out.splitlines()
    at = lines.index("  which gain")
    assert lines[at + 1 : at + 4] == [
        "    1/rms[y] 1.846229   before a linear layer      σ[dx] becomes 0.391",
        "    1/σ[y]   4.801313   where the mean is removed  σ[dx] becomes 1.017",
        "    1/σ[dx]  4.722646   to keep gradients          rms[y] becomes 2.558",
    ]
    assert lines[at + 4].endswith("(bnstats help gains)")
    assert max(map(len, lines)) <= 80
    every = gain_choices(dict.fromkeys(QUANTITIES, 1.0))
    assert sorted(choice.name for choice in every) == sorted(GAINS)
