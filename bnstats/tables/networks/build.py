"""Drawing the networks of the table, and the exact curves beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bnstats.documents.write import document
from bnstats.networks.propagate import propagate
from bnstats.networks.propagation import WAYS, Propagation, Side
from bnstats.networks.stack import SCALES, Scale, Stack
from bnstats.networks.stages import Elementwise
from bnstats.networks.sweep import sweep
from bnstats.sampling.watch import Watch
from bnstats.statistics.exact import exact_entry

ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu", "silu")
DEPTHS = (1, 2, 5, 10, 20, 30, 50, 70, 100)  # that are kept
WIDTH, CHANNELS, SIDE, BATCH = 256, 16, 6, 2
NETWORKS = {"dense": 200, "convolutional": 10}
INIT = "lecun"  # neutral, for every scaling
SHARES = "x_std=0.125:8:log"
_POINTS = 25


@dataclass(frozen=True)
class Setting:
    """Networks of one kind: ``dense`` or ``convolutional``, their activation and its scaling."""

    kind: str
    activation: str
    scale: Scale

    @property
    def name(self) -> str:
        """What a reader is told."""
        return f"{self.kind} {self.activation} {self.scale}"

    @cached_property
    def stage(self) -> Elementwise:
        """The activation with its factors."""
        (stage,) = Stack((self.activation,), scale=self.scale).stages
        assert isinstance(stage, Elementwise)
        return stage

    def run(self, seed: int, workers: int, factor: int = 1) -> Propagation:
        """Draw ``factor`` times as many networks as the table has."""
        shape: dict[str, Any] = {"width": WIDTH}
        first = "linear"
        if self.kind == "convolutional":
            shape = {"input": (CHANNELS, SIDE, SIDE)}
            first = "conv2d:padding=1"
        return propagate(
            first,
            self.activation,
            **shape,
            depth=max(DEPTHS),
            batch=BATCH,
            networks=factor * NETWORKS[self.kind],
            init=INIT,
            scale=self.scale,
            seed=seed,
            workers=workers,
        )

    def entry(self, run: Propagation) -> dict[str, Any]:
        """Return what the table keeps of a run."""
        rows = []
        for depth in DEPTHS:
            # Blocks of two: y at the end of a block, dx at the beginning of one, from the output.
            y, dx = run.rows[2 * depth - 1], run.rows[len(run.rows) - 2 * depth]
            assert dx.dx is not None
            sides = {"y": y.y, "dx": dx.dx}
            c = y.correlation
            row: dict[str, Any] = {"depth": depth}
            row |= {way: _side(sides[way]) for way in WAYS}
            row["correlation"] = c and {"value": c.value, "stderr": c.stderr, "wide": c.wide}
            rows.append(row)
        return {
            "kind": self.kind,
            "activation": self.activation,
            "scale": self.scale,
            "networks": run.networks,
            "verdicts": dict(run.verdicts),
            "rows": rows,
        }


def _side(side: Side) -> dict[str, Any]:
    low, high = side.typical.interval or (math.nan, math.nan)
    return {
        "typical": side.typical.value,
        "interval": [low, high],
        "relative": side.typical.relative,
        "spread": side.spread and list(side.spread),
        "wide": side.wide,
    }


def settings() -> Iterator[Setting]:
    """Yield all networks that differ: a scaling with the factors of an earlier one does not."""
    for kind in NETWORKS:
        for activation in ACTIVATIONS:
            seen = set()
            for scale in SCALES:
                found = Setting(kind, activation, scale)
                factors = found.stage.forward, found.stage.backward
                if factors not in seen:
                    seen.add(factors)
                    yield found


def shares() -> list[dict[str, Any]]:
    """Return the linear share of each activation over the standard deviation of x."""
    found = sweep(*ACTIVATIONS, over=SHARES, quantities=("linear_share",), points=_POINTS)
    return [
        {
            "activation": curve.layer,
            "points": [
                {"x_std": point.at, "exact": exact_entry(point.value("linear_share"))}  # type: ignore[arg-type]
                for point in curve.points
            ],
        }
        for curve in found.curves
    ]


def build(
    seed: int, *, workers: int = 1, argv: Sequence[str] = (), watch: Watch | None = None
) -> Mapping[str, Any] | None:
    """Return the document of all networks, or None when stopped before the end."""
    watch, wanted, found = watch or Watch(), list(settings()), []
    for done, setting in enumerate(wanted):
        watch.layer(setting.name, done, len(wanted))
        if watch.stopping():
            return None
        run = setting.run(seed, workers)
        found.append(setting.entry(run))
    plain = document((), argv=argv) | {"results": found, "linear_share": shares()}
    plain["provenance"] |= {"seed": seed, "confidence": run.confidence, "init": INIT}
    return plain
