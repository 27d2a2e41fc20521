"""What a run returns: a record of quantities by name, with everything needed to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from bnstats.claims.verdict import Verdict
from bnstats.errors import suggestion
from bnstats.layers import STANDARD, Law
from bnstats.sampling.settings import DType, Sampler, Sampling
from bnstats.specs.spec import Spec
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import ALL_QUANTITIES, QUANTITIES, Direction

T = TypeVar("T", Estimate, Exact)
Status = Literal["complete", "target_not_met", "interrupted"]  # from the best to the worst


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        known = ", ".join(f"{k}={v.value!r}" for k, v in self.quantities.items())
        return f"Reference({self.layer!r}, {known})"


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

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in self.quantities.items() if "gain" not in k)
        return f"Result({self.layer!r}, samples={self.samples}, {shown})"
