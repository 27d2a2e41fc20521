"""What a run returns: a record of quantities by name, with everything needed to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, Literal, TypeVar

from bnstats.claims.verdict import Verdict
from bnstats.errors import HostError, suggestion
from bnstats.layers import STANDARD, Law
from bnstats.notation import bounds, count_text, deviation, percent
from bnstats.sampling.settings import DType, Sampler, Sampling
from bnstats.specs.spec import Spec
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact, exact_entry
from bnstats.statistics.quantities import ALL_QUANTITIES, ON_SCREEN, QUANTITIES, Direction
from bnstats.statistics.uncertain import finite

T = TypeVar("T", Estimate, Exact)
Status = Literal["complete", "target_not_met", "interrupted"]  # from the best to the worst


def _caption(layer: str, law: Law, *more: str) -> str:
    return " ".join((layer, *(f"{k}={v:g}" for k, v in law.changes.items()), *more))


@dataclass(frozen=True)
class Record(Generic[T]):
    """Quantities of one layer, as items of ``quantities`` and as attributes.

    Attributes
    ----------
    spec
        The layer.
    quantities
        By name: mean_y, std_y, rms_y, mean_dx, std_dx, var_dx and so on.
    claims
        Published values of this layer with their verdicts.
    warnings
        What a reader must know before believing the numbers, each with a remedy.
    """

    spec: Spec
    quantities: Mapping[str, T]
    claims: tuple[Verdict, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """The canonical spec."""
        return self.spec.text

    def __getattr__(self, name: str) -> T:
        if name.startswith("_") or name == "quantities":
            raise AttributeError(name)
        try:
            return self.quantities[name]
        except KeyError:
            near = suggestion(name, ALL_QUANTITIES)
            hint = f"; did you mean {near!r}?" if near and near in self.quantities else ""
            raise AttributeError(f"{self.layer} has no quantity {name!r}{hint}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.quantities]

    @property
    def _caption(self) -> str:
        """What was asked for, in a line."""
        return self.layer

    @property
    def _shown(self) -> Sequence[str]:
        """The quantities that people are shown."""
        return ON_SCREEN

    def _numbers(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        raise NotImplementedError

    def _row(self, number: T) -> dict[str, Any]:
        """Return what a data frame has of a number, by column."""
        raise NotImplementedError

    def _cells(self, number: T) -> dict[str, str]:
        """Return what a notebook shows of a number, by the heads of the columns."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold: an item of ``results`` in a document of bnstats."""
        said = {"warnings": list(self.warnings), "claims": [v.to_dict() for v in self.claims]}
        assumed = {"assumed": dict(self.spec.assumed)} if self.spec.assumed else {}
        about = {"layer": self.layer, "parameters": self.spec.parameters()} | assumed
        return about | self._numbers() | said

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with a row for each quantity, by its name.

        Raises
        ------
        HostError
            pandas is not installed.
        """
        rows = {name: self._row(number) for name, number in self.quantities.items()}
        return pandas().DataFrame.from_dict(rows, orient="index").rename_axis("quantity")

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        from html import escape  # slow for the command line, which has no use for it

        rows: list[Sequence[str]] = []
        for name in self._shown:
            if name in self.quantities:
                cells: dict[str, str] = self._cells(self.quantities[name])
                rows = rows or [("", *cells)]
                rows.append((ALL_QUANTITIES[name].symbol, *cells.values()))
        notes = "".join(f"<p>warning: {escape(said)}</p>" for said in self.warnings)
        return html_table(rows, self._caption) + notes

    def __repr__(self) -> str:
        shown: list[str] = [
            f"{n}={self.quantities[n]}" for n in self._shown if n in self.quantities
        ]
        return f"{type(self).__name__}({', '.join((repr(self._caption), *shown))})"


def pandas() -> Any:
    """Return the module of pandas; HostError where it is not installed."""
    try:
        return import_module("pandas")
    except ModuleNotFoundError:
        raise HostError("pandas is not installed", hint="pip install pandas") from None


def html_table(rows: Sequence[Iterable[str]], caption: str = "") -> str:
    """Return the table that a notebook shows; the first row is its head."""
    from html import escape

    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    lines = []
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        cells = "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return f"<table>{title}{''.join(lines)}</table>"


@dataclass(frozen=True, repr=False)
class Reference(Record[Exact]):
    """Exact values of a layer.

    Attributes
    ----------
    law
        Law of the inputs.
    missing
        Quantities that have no exact value.
    """

    law: Law = STANDARD

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the quantities without an exact value."""
        return tuple(name for name in QUANTITIES if name not in self.quantities)

    @property
    def _caption(self) -> str:
        return _caption(self.layer, self.law)

    def _numbers(self) -> dict[str, Any]:
        return {n: {"exact": exact_entry(self.quantities.get(n))} for n in ALL_QUANTITIES}

    def _row(self, number: Exact) -> dict[str, Any]:
        return number.to_dict()

    def _cells(self, number: Exact) -> dict[str, str]:
        return {"exact": str(number), "by": number.by}


@dataclass(frozen=True, repr=False)
class Result(Record[Estimate]):
    """A sampled layer.

    Attributes
    ----------
    sampling
        How it was sampled, as asked for; ``law``, ``seed``, ``dtype``, ``sampler``, ``backend``
        and ``confidence`` of it are attributes of the result, too.
    samples
        Independent draws taken.
    device
        Names of the devices that computed.
    chunk
        Draws per chunk, at most; fixed by the layer and the sampler. None where each draw has a
        place of its own in the stream: on torch and jax.
    status
        ``complete``, ``interrupted`` or ``target_not_met``.
    nonfinite
        Draws left out, by direction, because they, or their fourth powers, are not finite.
    notes
        Those of ``warnings`` that are not about the numbers drawn: of the layer, and of a backend
        that had to do otherwise than was asked for.
    """

    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 0
    device: str = "cpu"
    chunk: int | None = None
    status: Status = "complete"
    nonfinite: Mapping[Direction, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def law(self) -> Law:
        """Law of the inputs."""
        return self.sampling.law

    @property
    def seed(self) -> int:
        """Seed of the draws."""
        return self.sampling.seed

    @property
    def dtype(self) -> DType:
        """Type of the draws."""
        return self.sampling.dtype

    @property
    def sampler(self) -> Sampler:
        """``iid`` or ``sobol``."""
        return self.sampling.sampler

    @property
    def backend(self) -> str:
        """What computed."""
        return self.sampling.backend

    @property
    def confidence(self) -> float:
        """Probability that an interval covers the true value."""
        return self.sampling.confidence

    @property
    def n_eff(self) -> float:
        """The smallest effective number of draws among the quantities."""
        return min((q.n_eff for q in self.quantities.values()), default=0.0)

    @property
    def _caption(self) -> str:
        return _caption(self.layer, self.law, f"n={count_text(self.samples)}")

    @property
    def _shown(self) -> Sequence[str]:
        return self.sampling.quantities or ON_SCREEN

    def _numbers(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "samples": self.samples,
            "chunk": self.chunk,
            "n_eff": finite(self.n_eff),
            "nonfinite": dict(self.nonfinite),
            **{name: estimate.to_dict() for name, estimate in self.quantities.items()},
        }

    def _row(self, number: Estimate) -> dict[str, Any]:
        low, high = number.interval or (None, None)
        exact = number.exact
        return {
            "value": number.value,
            "stderr": number.stderr,
            "low": low,
            "high": high,
            "n_eff": number.n_eff,
            "reliable": number.reliable,
            "exact": exact.value if exact else None,
            "z": number.z,
        }

    def _cells(self, number: Estimate) -> dict[str, str]:
        interval = number.interval if number.reliable else None
        return {
            "estimate(SE)": str(number),
            f"{percent(self.confidence)} interval": bounds(interval) if interval else "unreliable",
            "exact": str(number.exact) if number.exact else "",
            "z": "" if number.z is None else deviation(number.z),
        }
