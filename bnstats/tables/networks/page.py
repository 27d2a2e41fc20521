"""The table of networks as Markdown: what it says first, and the numbers at its largest depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnstats.api import exact
from bnstats.networks.propagation import STEADY, WAYS
from bnstats.networks.stack import SCALES
from bnstats.notation import exact_text, plural, signed
from bnstats.report.markdown import paragraph, table
from bnstats.tables.networks.build import (
    ACTIVATIONS,
    BATCH,
    CHANNELS,
    DEPTHS,
    NETWORKS,
    SIDE,
    WIDTH,
)

DATA, PAGE, PLOT = "networks.json", "networks.md", "networks.svg"
_SHOWN_STD = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def render(found: Mapping[str, Any]) -> str:
    """Return the page of a document of networks."""
    dense, convolutional = (
        [entry for entry in found["results"] if entry["kind"] == kind] for kind in NETWORKS
    )
    return "\n\n".join(
        [
            "# Whole networks: activations scaled forward, backward or separately",
            *map(paragraph, _verdict(dense, convolutional, found["linear_share"])),
            f"![σ over the depth, and the linear share over the scale of x]({PLOT})",
            paragraph(_legend(found["provenance"]["confidence"])),
            f"## Dense, depth {DEPTHS[-1]}",
            f"{plural(NETWORKS['dense'], 'network')} of width {WIDTH}, {BATCH} inputs each.",
            _depths(dense),
            f"## Convolutional, depth {DEPTHS[-1]}",
            f"{plural(NETWORKS['convolutional'], 'network')} of {CHANNELS} channels on maps of "
            f"{SIDE} × {SIDE}, kernels of 3 × 3, padded with zeros.",
            _depths(convolutional),
            "## Linear share",
            "The share of Var[y] that a linear function of x explains, for x ~ N(0, x_std²).",
            _shares(found["linear_share"]),
            "Written by `bnstats table networks`; checked by `bnstats table networks --check`.\n",
        ]
    )


def _verdict(
    dense: Sequence[Mapping[str, Any]],
    convolutional: Sequence[Mapping[str, Any]],
    shares: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    known = {name: exact(name) for name in ACTIVATIONS}
    growth = _listed({n: f"×{k.chi.value**0.5:.3g}" for n, k in known.items()})
    unstable = {n: f"{k.stability.value:.3f}" for n, k in known.items() if k.stability.value > 1}
    separate = [e["rows"][-1] for e in dense if _has(e, "separate")]
    off = max(abs(row[way]["wide"] - 1) for row in separate for way in WAYS)
    yield (
        "**Should forward and backward be scaled separately?** To keep the scales of both, yes. "
        f"Scaled forward, gradients change by √χ₁ = σ[dx]/rms[y] a layer ({growth}). Scaled "
        "backward, signals leave the scale at which the constants hold. Scaled separately, both "
        f"stay at 1 in a wide dense network of any depth (here to {off:.0e})."
    )
    counts = "; ".join(f"{scale}: {_listed(_steady(dense, scale)) or '–'}" for scale in SCALES)
    merged = {e["activation"]: "" for e in dense if _merged(e) and _steady([e], e["scale"])}
    yield (
        f"As drawn, {DEPTHS[-1]} layers of width {WIDTH} are steady in both directions for "
        f"{counts}. No constant steadies a layer whose d ln E[y²]/d ln E[x²] is above 1, where an "
        f"error of the scale grows: {_listed(unstable)}. A steady scale is not all: with "
        f"{_listed(merged)} all inputs have become one (c = 1.00). Zero padding, which no constant "
        "knows, lets signals leak away at the borders: scaled separately, the steady convolutional "
        f"stacks are: {_listed(_steady(convolutional, 'separate')) or 'none'}."
    )
    yield (
        "A gradient with a scale of its own is not the gradient of the loss. On a chain it is that "
        "of the network scaled forward, with a learning rate for every layer; where branches meet, "
        "it is not even that. [training.md](training.md) trains both."
    )
    at_one = {s["activation"]: f"{100 * _share(s, 1.0):.1f} %" for s in shares}
    sigmoid, tanh = (next(s for s in shares if s["activation"] == n) for n in ("sigmoid", "tanh"))
    yield (
        "**Does a normalised sigmoid or tanh still cover a non-linear part?** Little in one layer: "
        "at x_std = 1, the scale that normalised layers hand on, a linear function of x explains "
        f"of Var[y] {_listed(at_one)}. Only a larger scale of x changes that: at 4 it explains "
        f"{100 * _share(sigmoid, 4.0):.1f} % of sigmoid's and "
        f"{100 * _share(tanh, 4.0):.1f} % of tanh's."
    )


def _legend(confidence: float) -> str:
    return (
        "A block is a layer with fresh normal weights of variance 1/fan_in, and an activation. "
        "*forward* divides y by its rms, *backward* by that of dx, both under standard normals; "
        "*separate* divides y by the one and the gradient by the other; *none* divides nothing. "
        "Constants of relu are the same in both directions: *forward* stands for all three. σ is "
        f"the root mean square of a typical network with its {100 * confidence:g} % interval, "
        "*wide* the exact prediction for infinitely many units or channels, *c* the cosine of y "
        f"between two independent inputs. Vanishing and exploding are below {STEADY[0]:g} and "
        f"above {STEADY[1]:g}. Smaller depths are in [{DATA}]({DATA})."
    )


def _has(entry: Mapping[str, Any], scale: str) -> bool:
    """Whether an entry is of a scaling; relu's forward one stands for all."""
    return bool(entry["scale"] == scale) or (
        entry["activation"] == "relu" and entry["scale"] == "forward" and scale != "none"
    )


def _steady(entries: Sequence[Mapping[str, Any]], scale: str) -> dict[str, str]:
    return {
        e["activation"]: ""
        for e in entries
        if _has(e, scale) and set(e["verdicts"].values()) == {"steady"}
    }


def _merged(entry: Mapping[str, Any]) -> bool:
    return float(entry["rows"][-1]["correlation"]["value"]) > 0.995


def _listed(named: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}".strip() for name, text in named.items())


def _share(curve: Mapping[str, Any], x_std: float) -> float:
    return float(_point(curve, x_std)["value"])


def _point(curve: Mapping[str, Any], x_std: float) -> Mapping[str, Any]:
    return next(p["exact"] for p in curve["points"] if abs(p["x_std"] / x_std - 1) < 1e-9)


def _depths(entries: Sequence[Mapping[str, Any]]) -> str:
    header = ["activation", "scaled"]
    header += ["σ[y]", "interval", "wide", "σ[dx]", "interval", "wide", "c", "y", "dx"]
    return table(header, map(_row, entries))


def _row(entry: Mapping[str, Any]) -> list[str]:
    last = entry["rows"][-1]
    cells = [f"`{entry['activation']}`", entry["scale"]]
    for way in ("y", "dx"):
        side = last[way]
        low, high = side["interval"]
        cells += [short(side["typical"]), f"[{short(low)}, {short(high)}]", short(side["wide"])]
    c = last["correlation"]
    return [*cells, signed(f"{c['value']:.2f}"), *entry["verdicts"].values()]


def short(number: float) -> str:
    """Write three digits."""
    text = f"{number:#.3g}" if 1e-3 <= number < 1e3 else f"{number:.2e}"
    return text.removesuffix(".").replace("-", "−")


def _shares(curves: Sequence[Mapping[str, Any]]) -> str:
    rows = ((f"{x:g}", *(_cell(_point(curve, x)) for curve in curves)) for x in _SHOWN_STD)
    return table(("x_std", *(f"`{curve['activation']}`" for curve in curves)), rows)


def _cell(entry: Mapping[str, Any]) -> str:
    return exact_text(entry["value"], entry["error"], place=-6)
