"""A stack of dense layers: what a block repeats, and how its weights are drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np

from bnstats.custom import load_typed
from bnstats.errors import ArgumentError, BnstatsError, printable
from bnstats.layers import Law, ParameterError, weights
from bnstats.networks.inits import drawn_by
from bnstats.networks.maps import Function
from bnstats.networks.predictions import isolated_squares
from bnstats.networks.reduce import Label
from bnstats.networks.stages import Add, Dense, Elementwise, Skip, Stage
from bnstats.specs.names import split
from bnstats.specs.spec import Spec, parse

if TYPE_CHECKING:
    from bnstats.networks.shapes.stack import ShapedStack
    from bnstats.networks.shapes.steps import Step

AnyStack = TypeVar("AnyStack", "Stack", "ShapedStack")
Scale = Literal["none", "forward", "backward", "separate"]
SCALES: tuple[Scale, ...] = get_args(Scale)

_MOST_WEIGHTS, _MOST_SIGNALS = 2**27, 2**30  # numbers of a network, 1 GB and 8 GB


class Choices:
    """What stacks of all kinds have: checked choices, a text of all fields, and pickles of them."""

    block: tuple[str, ...]
    gain: float | None
    bias_std: float
    scale: Scale

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            given = printable(str(self.scale), 60)
            raise ArgumentError(f"scale '{given}' is not one of {', '.join(SCALES)}")
        for name, value, least in (("bias_std", self.bias_std, 0.0), ("gain", self.gain, 1e-9)):
            number = isinstance(value, Real) and not isinstance(value, bool)
            if value is not None and not (number and least <= value <= 1e9):
                given = printable(str(value), 60)
                raise ArgumentError(f"{name} {given} is not a number from {least:g} to 1e9")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._given.values())  # not the layers that are made of them

    @property
    def name(self) -> str:
        """The layers of a block."""
        return " ".join(self.block)

    @property
    def steps(self) -> Sequence[Stage | Step]:
        """All layers of all blocks, in order."""
        raise NotImplementedError

    @property
    def labels(self) -> list[Label]:
        """What each row is of."""
        numbered = [(at // len(self.block) + 1, step.name) for at, step in enumerate(self.steps)]
        return [Label(n, f"{n}.{name.partition(':')[0]}", name) for n, name in numbered]

    @property
    def text(self) -> str:
        """All of it in a line, the identity of the random streams."""
        return " ".join(f"{name}={value}" for name, value in self._given.items())

    def factors(self, text: str, spec: Spec) -> tuple[float, float]:
        """Return the factors on y and on dx of a layer without weights.

        Raises
        ------
        BnstatsError
            What it does to standard normals is not known.
        """
        if self.scale == "none":
            return 1.0, 1.0
        y, dx = (v**-0.5 if v > 0 else math.nan for v in isolated_squares(spec))
        forward = dx if self.scale == "backward" else y
        backward = y if self.scale == "forward" else dx
        if not math.isfinite(forward + backward):
            raise BnstatsError(f"{text} has no constant to divide by", hint="`scale='none'`")
        return forward, backward

    def check_numbers(self, weights: int, signals: int) -> None:
        """Raise BnstatsError where one network does not fit into memory."""
        if weights > _MOST_WEIGHTS:
            raise BnstatsError(
                f"a network would hold {weights:,} weights, more than {_MOST_WEIGHTS:,}",
                hint="fewer or smaller layers; normal weights of dense stacks need no matrices",
            )
        if signals > _MOST_SIGNALS:
            raise BnstatsError(
                f"the signals of a network would be {signals:,} numbers, more than "
                f"{_MOST_SIGNALS:,}",
                hint="fewer or smaller layers, or a smaller `batch`",
            )

    @property
    def _given(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stack(Choices):
    """A block of layers, repeated; everything about it that the draws depend on.

    Attributes
    ----------
    block
        Specs, and the words ``skip`` and ``add``.
    width, depth
        Units of every layer, and repetitions of the block.
    batch
        Inputs that pass through one network.
    init
        A name of the catalogue, or ``he``, ``lecun``, ``xavier`` or ``torch``.
    gain
        Factor on the weights; None leaves it to the init.
    bias_std
        Standard deviation of normal biases.
    scale
        Which directions activations are divided by their constants in.

    Raises
    ------
    BnstatsError
        A layer that has no place in a dense stack, a residual branch that is not closed, a number
        out of range.
    """

    block: tuple[str, ...]
    width: int = 256
    depth: int = 1
    batch: int = 2
    init: str = "he"
    gain: float | None = None
    bias_std: float = 0.0
    scale: Scale = "none"

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The layers of one block."""
        found = tuple(self._stage(text) for text in self.block)
        open_branches = 0
        for stage in found:
            open_branches += isinstance(stage, Skip) - isinstance(stage, Add)
            if open_branches < 0:
                raise BnstatsError("add without a skip before it", hint="skip … linear add")
        if open_branches:
            raise BnstatsError("skip without an add after it", hint="skip … linear add")
        return found

    @cached_property
    def steps(self) -> tuple[Stage, ...]:
        """All layers of all blocks, in order."""
        return self.stages * self.depth

    @property
    def specs(self) -> Iterator[Spec]:
        """The layers without weights, which may be the user's own."""
        return (s.spec for s in self.stages if isinstance(s, Elementwise))

    @cached_property
    def gaussian(self) -> bool:
        """Whether all weights are independent normals."""
        return all(s.gaussian for s in self.stages if isinstance(s, Dense))

    @cached_property
    def homogeneous(self) -> bool:
        """Whether twice the input gives twice the output of every layer."""
        x = np.linspace(-3, 3, 64)
        for stage in self.stages:
            if isinstance(stage, Dense) and stage.bias_std:
                return False
            if isinstance(stage, Elementwise):
                if set(stage.spec.bound.inputs) != {"x", "dy"}:
                    return False
                f = Function(stage.spec)
                if not np.array_equal(2 * f(x)[0], f(2 * x)[0]):
                    return False
        return True

    @property
    def kept(self) -> tuple[int, float]:
        """How many layers of a block have weights, and what the others make of E[x²]."""
        factors = (
            isolated_squares(s.spec)[0] * s.forward**2
            for s in self.stages
            if isinstance(s, Elementwise)
        )
        return sum(isinstance(s, Dense) for s in self.stages), math.prod(factors)

    @property
    def matrix_numbers(self) -> int:
        """Weights of one network."""
        return self.width**2 * self.depth * sum(isinstance(s, Dense) for s in self.stages)

    @property
    def numbers(self) -> int:
        """Numbers of all signals of one network, which the way back needs."""
        return 2 * self.width * self.batch * len(self.stages) * self.depth

    def _stage(self, text: str) -> Stage:
        word, _, given = text.partition(":")
        if word == "skip" and not given:
            return Skip()
        if word == "add":
            return Add(text, alpha_of(given) if given else 1.0)
        found = split(text)[1]
        if found and found[0].name == "linear":
            return self._dense(text)
        spec = parse(text, load_typed)
        inputs = spec.bound.inputs
        if all(i.shape == () for i in inputs.values()):
            spec = spec.under(Law())
            return Elementwise(text, spec, *self.factors(text, spec))
        raise BnstatsError(
            f"{printable(text, 60)} is no layer of a dense stack",
            hint="linear, activations, dropout, skip and add",
        )

    def _dense(self, text: str) -> Dense:
        if unknown := re.search("(in|out)_features", text):
            raise BnstatsError(
                f"{unknown[0]} is the width of the stack", hint=f"`width={self.width}`"
            )
        # A library's name asks for sizes.
        spec = parse(text, given={"in_features": self.width, "out_features": self.width})
        own = dict(item.split("=") for item in spec.text.partition(":")[2].split(",") if item)
        drawn = drawn_by(self.init, self.gain, self.bias_std, own, self.width)
        mode: Any = own.get("mode", "fan_in")
        try:
            law = weights(drawn.init, mode, drawn.gain, (self.width, self.width))
        except ParameterError as error:
            raise BnstatsError(str(error), hint="another `init`, or no `gain`") from None
        normal = law.fans is not None and law.drawn.distribution == "normal"
        return Dense(text, law, normal, drawn.bias_std, drawn.bias_law)


def chosen(plain: AnyStack, init: str | None, gain: float | Literal["auto"] | None) -> AnyStack:
    """Return a stack with its init and gain, chosen where none is given.

    He's weights are for relu. Where activations are scaled, or their gain is asked for, weights are
    neutral; a gain of ``"auto"`` makes up for what the other layers make of E[x²].

    Raises
    ------
    BnstatsError
        A gain is to be found, and there is none.
    """
    neutral = plain.scale != "none" or gain == "auto"
    name = init or ("lecun" if neutral else "he")
    stack = replace(plain, init=name, gain=None if gain == "auto" else gain)
    if gain != "auto":
        return stack
    weighted, kept = stack.kept
    if not weighted or not 0 < kept < math.inf:
        raise BnstatsError("no gain keeps this block's scale", hint="e.g. `gain=1.4`")
    return replace(stack, gain=kept ** (-0.5 / weighted))


def alpha_of(given: str) -> float:
    """Return the factor of a branch from what follows ``add:``."""
    key, _, value = given.partition("=")
    try:
        alpha = float(value)
    except ValueError:
        alpha = math.nan
    if key != "alpha" or not math.isfinite(alpha):
        raise BnstatsError(f"add:{printable(given, 60)} is not alpha=NUMBER", hint="add:alpha=0.2")
    return alpha
