"""Quantities of layers as functions of a parameter, of theirs or of the law of x and dy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from os import PathLike
from typing import Any

from bnstats.api import exact
from bnstats.claims.wanted import Wanted, wanted_of
from bnstats.custom import load_typed
from bnstats.errors import BnstatsError, kind_of
from bnstats.layers import STANDARD, Law
from bnstats.result import Record, Reference, Result, Status, html_table, pandas
from bnstats.runs.drawing import sample
from bnstats.runs.solve import Solution, solve
from bnstats.sampling.settings import Sampling, checked_quantities
from bnstats.sampling.watch import Watch
from bnstats.specs.expressions import number
from bnstats.specs.names import Load
from bnstats.specs.over import POINTS, Over, over_of
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import ALL_QUANTITIES
from bnstats.statistics.stacks import check_applicable

USUAL = ("std_y", "std_dx")
SAMPLES = 200_000  # of each value where something has to be sampled
_STARTS = "a layer and what to sweep, e.g. bnstats.sweep('tanh', over='x_std=0.1:10:log')"


@dataclass(frozen=True)
class Point:
    """A layer at one value of what is swept.

    Attributes
    ----------
    text
        The value, as a spec writes it.
    record
        The exact values there, or where these do not suffice a sample with the exact ones beside.
    """

    text: str
    record: Record[Any]

    @property
    def at(self) -> float | str:
        """The value, as a number if it is one."""
        try:
            return number(self.text)
        except ValueError:
            return self.text

    @property
    def samples(self) -> int:
        """The draws behind it; 0 where only exact values were needed."""
        return self.record.samples if isinstance(self.record, Result) else 0

    def value(self, quantity: str) -> Exact | Estimate | None:
        """Return what is best known of a quantity: the exact value, or else the estimate."""
        found: Exact | Estimate | None = self.record.quantities.get(quantity)
        if isinstance(found, Estimate) and found.exact is not None:
            return found.exact
        return found


@dataclass(frozen=True)
class Curve:
    """A layer over all values.

    Attributes
    ----------
    layer
        The layer as it was named, without the parameter that is swept.
    points
        In the order of the values.
    solutions
        Where quantities have wanted values.
    """

    layer: str
    points: tuple[Point, ...]
    solutions: tuple[Solution, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """Quantities of layers over the values of a parameter.

    Attributes
    ----------
    over
        The parameter and its values.
    quantities
        Names of what was asked for.
    curves
        One for each layer.
    law
        Law of the inputs, but for what is swept.
    sampling
        How what has no exact value was sampled.
    status
        ``complete`` or ``interrupted``: then some values, or layers, are missing.
    """

    over: Over
    quantities: tuple[str, ...]
    curves: tuple[Curve, ...]
    law: Law
    sampling: Sampling
    status: Status = "complete"

    @property
    def doubts(self) -> tuple[tuple[str, str], ...]:
        """What a reader must know of a layer: each with it, and the first value it is about."""
        found: dict[tuple[str, str], str] = {}
        for curve in self.curves:
            for point in curve.points:
                for warning in point.record.warnings:
                    said = f"at {self.over.name}={point.text}: {warning}"
                    found.setdefault((curve.layer, warning), said)
        return tuple((layer, said) for (layer, _), said in found.items())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for every layer, value and quantity, numbers unrounded."""
        for curve in self.curves:
            for point in curve.points:
                for name in self.quantities:
                    yield {
                        "layer": curve.layer,
                        self.over.name: point.at,
                        "quantity": name,
                        **_cells(point.record.quantities.get(name)),
                    }

    def to_pandas(self) -> Any:
        """Return the rows as a pandas DataFrame; HostError where pandas is not installed."""
        return pandas().DataFrame(list(self.rows()))

    def _repr_html_(self) -> str:
        head = ("layer", self.over.name, *(ALL_QUANTITIES[n].symbol for n in self.quantities))
        cells = (
            (curve.layer, point.text, *(shown(point, n) for n in self.quantities))
            for curve in self.curves
            for point in curve.points
        )
        return html_table([head, *cells])

    def __repr__(self) -> str:
        layers = ", ".join(curve.layer for curve in self.curves)
        over = f"{self.over.name} from {self.over.texts[0]} to {self.over.texts[-1]}"
        return f"Sweep({layers} over {over}: {', '.join(self.quantities)})"


def shown(point: Point, quantity: str) -> str:
    """Write what is best known of a quantity, as people read it."""
    from bnstats.notation import exact_text

    found = point.value(quantity)
    if found is None:
        return "–"
    if isinstance(found, Estimate):
        return f"{found}{'' if found.reliable else ' unreliable'}"
    return exact_text(found.value, found.error)


def _cells(found: Exact | Estimate | None) -> dict[str, float | None]:
    exact = found.exact if isinstance(found, Estimate) else found
    sampled = found if isinstance(found, Estimate) else None
    low, high = (sampled.interval if sampled else None) or (None, None)
    return {
        "value": sampled.value if sampled else None,
        "stderr": sampled.stderr if sampled else None,
        "low": low,
        "high": high,
        "exact": exact.value if exact else None,
        "exact_error": exact.error if exact else None,
    }


def sweep(
    *layers: str,
    over: str | Mapping[str, Sequence[Any]],
    quantities: Iterable[str] = (),
    find: str | Iterable[str] = (),
    points: int = POINTS,
    samples: int | float | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    workers: int = 1,
    cluster: Any = None,
    checkpoint: str | PathLike[str] | None = None,
    law: Law = STANDARD,
    load: Load = load_typed,
    on_progress: Callable[[str, int, int], None] | None = None,
    on_failure: Callable[[BnstatsError], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Sweep:
    """Compute quantities of layers over the values of a parameter.

    Exact values are taken where they are known. Where a layer lacks one, that value of the
    parameter is sampled.

    Parameters
    ----------
    layers
        One or several, without the parameter that is swept.
    over
        ``"NAME=a:b"``, ``"NAME=a:b:log"``, ``"NAME=a:b:STEP"`` or ``"NAME=v,v,v"``, or a mapping
        of the name to its values; NAME is a parameter of every layer, or x_mean, x_std or dy_std.
    quantities
        Their names; by default σ[y] and σ[dx], or what ``find`` names.
    find
        ``"QUANTITY=VALUE"``, or several: the value of the parameter is sought for which the
        quantity has this value, with a bound on its error. VALUE is a number or an expression
        that may hold the parameter, such as ``"std_y=3/5*x_std"``.
    points
        Values of a range without a step.
    samples
        Independent draws of each value that is sampled; 200,000 by default.
    seed, confidence, workers, cluster, checkpoint
        As in `bnstats.compute`.
    law
        Law of the inputs, but for what is swept.
    load
        What is done about a layer that is not known yet; see `bnstats.specs.spec.parse`.
    on_progress
        Called with a layer, how many values are done and how many there are in all.
    on_failure
        Called with what ends the sweep early, such as a lost cluster; what was computed so far is
        returned as ``interrupted``. Without it that is raised.
    on_note
        Called with what changes no digit, such as a damaged checkpoint; by default a warning.
    should_stop
        Asked between values; once true, what was computed so far is returned as ``interrupted``.

    Raises
    ------
    BnstatsError
        An unknown layer, parameter or quantity, or a value outside its range.

    Examples
    --------
    >>> found = sweep("leaky_relu", over="negative_slope=0:1", find="c1=0.1")
    >>> round(found.curves[0].solutions[0].value, 9)
    0.396955621
    """
    if not layers:
        raise BnstatsError("a sweep needs a layer", hint=_STARTS)
    for layer in layers:
        if not isinstance(layer, str):
            what = f"a layer is swept by its name, not as {kind_of(layer)}"
            hint = 'bnstats.register(function, name="my_act"), and then "my_act"'
            raise BnstatsError(what, hint=hint if callable(layer) else _STARTS)
    if not isinstance(points, int) or points < 2:
        raise BnstatsError(f"points {points} is not a whole number ≥ 2")
    layers = tuple(dict.fromkeys(layers))
    swept = over_of(over, layers, load, points)
    if swept.is_of_law and getattr(law, swept.name) != getattr(STANDARD, swept.name):
        raise BnstatsError(f"{swept.name} is swept, and given as well")
    wanted = [wanted_of(t, swept.name) for t in ((find,) if isinstance(find, str) else find)]
    names = checked_quantities(quantities)
    names = names or tuple(dict.fromkeys(w.quantity for w in wanted)) or USUAL
    asked = checked_quantities((*names, *(w.quantity for w in wanted)))
    how = Sampling(
        samples or SAMPLES,
        seed,
        confidence,
        workers=workers,
        law=law,
        quantities=asked,
        cluster=cluster,
        checkpoint=checkpoint,
    )
    watch = Watch(on_progress, should_stop=should_stop, on_failure=on_failure, on_note=on_note)
    job = _Job(swept, names, tuple(wanted), how, load, watch)
    for layer in layers:  # a misspelt one must not cost what comes before it
        job.known(layer, swept.texts[0])
    curves: list[Curve] = []
    for done, layer in enumerate(layers):
        watch.layer(layer, done, len(layers))
        curves.append(job.curve(layer))
    whole = all(len(curve.points) == len(swept.texts) for curve in curves)
    curves = [curve for curve in curves if curve.points]
    return Sweep(swept, names, tuple(curves), law, how, "complete" if whole else "interrupted")


@dataclass(frozen=True)
class _Job:
    """What is asked of every layer."""

    over: Over
    names: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    how: Sampling
    load: Load
    watch: Watch
    _known: dict[tuple[str, str], Reference] = field(default_factory=dict)

    def known(self, layer: str, text: str) -> Reference:
        """Return the exact values of a layer at a value of the parameter."""
        if (layer, text) not in self._known:
            spec, law = self.over.at(layer, text, self.how.law, self.load)
            check_applicable(spec.text, spec.bound, self.how.quantities)
            self._known[layer, text] = exact(spec, law=law)
        return self._known[layer, text]

    def curve(self, layer: str) -> Curve:
        """Return a layer over all values, or over those until someone stops it."""
        found: list[Point] = []
        for text in self.over.texts:
            if self.watch.stopping():
                return Curve(layer, tuple(found))
            record: Reference | Result = self.known(layer, text)
            missing = any(name not in record.quantities for name in self.names)
            if missing and record.spec.bound.why_inexact:
                how = replace(self.how, law=record.law)
                try:
                    record = sample(record.spec, how, self.watch)
                except BnstatsError as error:
                    self.watch.failed(error)
                    return Curve(layer, tuple(found))
                if record.status == "interrupted":
                    return Curve(layer, tuple(found))
            found.append(Point(text, record))
        solutions = (solve(self.over, one, self._exact(layer, one)) for one in self.wanted)
        return Curve(layer, tuple(found), tuple(chain.from_iterable(solutions)))

    def _exact(self, layer: str, wanted: Wanted) -> Callable[[str], Exact | None]:
        return lambda text: self.known(layer, text).quantities.get(wanted.quantity)
