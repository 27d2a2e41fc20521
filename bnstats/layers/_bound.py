"""One draw of a layer: its random inputs, its two passes and what is known of them.

Formulas are written against an array namespace ``xp`` and hold one draw per position of the *last*
axis: an input of shape ``(3, 3)`` arrives as an array of shape ``(3, 3, n)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from bnstats.layers._known import ExactMoments, Known

Array: TypeAlias = Any
Namespace: TypeAlias = Any
Draws: TypeAlias = Mapping[str, Array]
Backward: TypeAlias = Callable[[Array], Array]


# Moments behind an activation: of f, its breakpoints, law and expect.
MomentsAfter: TypeAlias = Callable[
    [Callable[[Namespace, Array], tuple[Array, Array]], tuple[float, ...], "Law", "Expect"],
    ExactMoments,
]


class Law(NamedTuple):
    """The law of the inputs: x ~ N(x_mean, x_std²), dy ~ N(0, dy_std²), all independent.

    Attributes
    ----------
    x_mean, x_std
        Mean and standard deviation of every element of x, in units of x.
    dy_std
        Standard deviation of every element of dy, the gradient with respect to y.
    """

    x_mean: float = 0.0
    x_std: float = 1.0
    dy_std: float = 1.0

    @property
    def changes(self) -> dict[str, float]:
        """The fields that differ from those of the standard law, by name."""
        return {k: v for k, v in self._asdict().items() if v != self._field_defaults[k]}


STANDARD = Law()


class Expect(Protocol):
    """Expectations under the law of x, supplied to a layer's `BoundLayer.moments` from outside."""

    def __call__(
        self,
        function: Callable[[Namespace, Array], Array],
        *,
        breakpoints: Iterable[float] = (),
        maximum_of: int = 1,
        tolerance: float = ...,
    ) -> Known:
        """Return E[function(X)], X being the largest of ``maximum_of`` independent inputs.

        The quadrature is refined until it changes by less than the relative tolerance.
        """

    def integral(
        self, function: Callable[[Namespace, Array], Array], low: float, high: float
    ) -> Known:
        """Return ∫ function(t) dt from low to high.

        The function must be analytic on the whole real line, within ±π/2 of it for any feature of
        unit width, and negligible at both ends: the trapezoid rule then converges geometrically.
        """


@dataclass(frozen=True)
class Input:
    """A random input of one draw: its event shape and its distribution.

    ``x`` and ``dy`` are normal with the mean and scale of the run's `Law`; every other input is
    a standard normal or uniform on (0, 1).
    """

    shape: tuple[int, ...] = ()
    distribution: Literal["normal", "uniform"] = "normal"


@dataclass(frozen=True)
class BoundLayer:
    """One draw of a layer whose parameters are bound.

    Attributes
    ----------
    inputs
        Every random input by name; always ``x`` and ``dy``.
    forward
        ``forward(xp, draws)`` returns ``(y, backward)``; ``backward(dy)`` returns dx. Arrays hold
        the draws on their last axis.
    moments
        ``moments(law, expect)`` returns the `ExactMoments` of one element of y and dx.
    breakpoints
        Where an elementwise layer is not smooth, in units of x: f, its slope or its curvature
        jumps.
    hints
        What a user should know about these parameter values.
    why_inexact
        Why some moment is known by sampling only; empty where all are known.
    heavy_tailed
        Directions whose fourth moment is infinite, or not known to be finite, under any law: no
        sample of them, however large, has an interval that holds.
    is_black_box
        Whether moments are those of a function that is known only where it was looked at: their
        errors are then estimates, as no bound can be told of what lies between.
    under
        ``under(law)`` returns this layer with what shows only once the law is known: breakpoints
        and faults of a function that nobody has examined. None where there is nothing to find out.
    moments_after
        ``moments_after(f, breakpoints, law, expect)`` returns the moments of this layer behind an
        activation, which ``f(xp, x)`` gives with its slope; None where they are not known.
    """

    inputs: Mapping[str, Input]
    forward: Callable[[Namespace, Draws], tuple[Array, Backward]]
    moments: Callable[[Law, Expect], ExactMoments]
    breakpoints: tuple[float, ...] = ()
    hints: tuple[str, ...] = ()
    why_inexact: str = ""
    heavy_tailed: tuple[Literal["y", "dx"], ...] = ()
    is_black_box: bool = False
    under: Callable[[Law], BoundLayer] | None = None
    moments_after: MomentsAfter | None = None

    def why_unknown(self, direction: str) -> str:
        """Return why a moment of y or dx may have no exact value."""
        # What is wrong with the slope of a user's function says nothing of its values.
        of_slopes = self.is_black_box and self.is_scalar
        if self.why_inexact and not (of_slopes and direction == "y"):
            return self.why_inexact
        return "infinite, or beyond what quadrature can tell"

    @property
    def numbers(self) -> int:
        """Random numbers in one draw."""
        return sum(math.prod(i.shape) for i in self.inputs.values())

    @property
    def is_scalar(self) -> bool:
        """Whether a draw is one number x, and one y of it, whatever else is random in it."""
        return self.inputs["x"].shape == () == self.inputs["dy"].shape
