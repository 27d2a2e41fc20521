"""A stack of dense layers: what a block repeats, and how its weights are drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.custom import load_typed
from bnstats.errors import ArgumentError, BnstatsError, hint_for, printable
from bnstats.layers import Init, Law, ParameterError, weights
from bnstats.networks.predictions import square_means
from bnstats.networks.stages import Add, Dense, Elementwise, Skip, Stage
from bnstats.specs.names import split
from bnstats.specs.spec import Spec, parse

Scale = Literal["none", "forward", "backward", "separate"]
SCALES: tuple[Scale, ...] = get_args(Scale)

# What a short name stands for: an init of the catalogue and its gain (None: its own).
_INITS: Mapping[str, tuple[Init, float | None]] = {
    "he": ("kaiming_normal", None),
    "lecun": ("kaiming_normal", 1.0),
    "xavier": ("xavier_normal", None),
    "torch": ("kaiming_uniform", 1 / math.sqrt(3)),
}
_ALL_INITS = (*_INITS, *get_args(Init))
_MOST_NUMBERS = 2**27  # of all weights of a network, 1 GB


@dataclass(frozen=True)
class Stack:
    """A block of layers, repeated; everything about it that the draws depend on.

    Attributes
    ----------
    block
        Specs, and the words ``skip`` and ``add``.
    width, depth
        Units of every layer, and repetitions of the block.
    inputs
        That pass through one network.
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
    inputs: int = 2
    init: str = "he"
    gain: float | None = None
    bias_std: float = 0.0
    scale: Scale = "none"

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
        return Stack, tuple(getattr(self, f.name) for f in fields(self))  # not the stages

    @property
    def text(self) -> str:
        """All of it in a line, the identity of the random streams."""
        return " ".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self))

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
                bound = stage.spec.bound
                if set(bound.inputs) != {"x", "dy"}:
                    return False
                once, twice = (
                    bound.forward(numpy_backend, {"x": v, "dy": v})[0] for v in (x, 2 * x)
                )
                if not np.array_equal(2 * once, twice):
                    return False
        return True

    @property
    def matrix_numbers(self) -> int:
        """Weights of one network."""
        return self.width**2 * self.depth * sum(isinstance(s, Dense) for s in self.stages)

    def check_matrices(self) -> None:
        """Raise BnstatsError where the weights of one network do not fit into memory."""
        if self.matrix_numbers > _MOST_NUMBERS:
            raise BnstatsError(
                f"a network would hold {self.matrix_numbers:,} weights, more than "
                f"{_MOST_NUMBERS:,}",
                hint="a smaller `width` or `depth`; normal weights need no matrices",
            )

    def _stage(self, text: str) -> Stage:
        word, _, given = text.partition(":")
        if word == "skip" and not given:
            return Skip()
        if word == "add":
            return Add(text, _alpha(given) if given else 1.0)
        found = split(text)[1]
        if found and found[0].name == "linear":
            return self._dense(text)
        spec = parse(text, load_typed)
        inputs = spec.bound.inputs
        if all(i.shape == () for i in inputs.values()):
            return self._elementwise(text, spec)
        raise BnstatsError(
            f"{printable(text, 60)} is no layer of a dense stack",
            hint="linear, activations, dropout, skip and add",
        )

    def _elementwise(self, text: str, spec: Spec) -> Elementwise:
        spec = spec.under(Law())
        if self.scale == "none":
            return Elementwise(text, spec)
        y, dx = (k.value**-0.5 if k.value > 0 else math.nan for k in square_means(spec, 1.0))
        forward = dx if self.scale == "backward" else y
        backward = y if self.scale == "forward" else dx
        if not math.isfinite(forward + backward):
            raise BnstatsError(f"{text} has no constant to divide by", hint="`scale='none'`")
        return Elementwise(text, spec, forward, backward)

    def _dense(self, text: str) -> Dense:
        if unknown := re.search("(in|out)_features", text):
            raise BnstatsError(
                f"{unknown[0]} is the width of the stack", hint=f"`width={self.width}`"
            )
        # A library's name asks for sizes.
        spec = parse(text, given={"in_features": self.width, "out_features": self.width})
        own = dict(item.split("=") for item in spec.text.partition(":")[2].split(",") if item)
        name = own.get("init", self.init)
        if name not in _ALL_INITS:
            raise BnstatsError(
                f"unknown init '{printable(name, 60)}'",
                hint=hint_for(name, _ALL_INITS, f"one of {', '.join(_ALL_INITS)}"),
            )
        init, gain = _INITS.get(name, (name, None))
        gain = float(own["gain"]) if "gain" in own else gain if self.gain is None else self.gain
        mode: Any = own.get("mode", "fan_in")
        try:
            law = weights(init, mode, gain, (self.width, self.width))  # type: ignore[arg-type]
        except ParameterError as error:
            raise BnstatsError(str(error), hint="another `init`, or no `gain`") from None
        normal = law.fans is not None and law.drawn.distribution == "normal"
        if name == "torch" and own.get("bias", str("init" not in own)).lower() == "true":
            return Dense(text, law, normal, 1 / math.sqrt(3 * self.width), "uniform")
        return Dense(text, law, normal, self.bias_std)


def _alpha(given: str) -> float:
    key, _, value = given.partition("=")
    try:
        alpha = float(value)
    except ValueError:
        alpha = math.nan
    if key != "alpha" or not math.isfinite(alpha):
        raise BnstatsError(f"add:{printable(given, 60)} is not alpha=NUMBER", hint="add:alpha=0.2")
    return alpha
