"""A stack of layers with shapes: each layer placed where its input comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from bnstats.custom import load_typed
from bnstats.errors import BnstatsError, printable
from bnstats.layers import Law, Layer
from bnstats.networks.inits import drawn_by
from bnstats.networks.models.inputs import InputShape
from bnstats.networks.predictions import isolated_squares
from bnstats.networks.shapes.events import MisfitError, Shape, by_x, out_shape
from bnstats.networks.shapes.steps import Flatten, Node, Placed, Step, fitted, is_structured
from bnstats.networks.stack import Choices, Scale, alpha_of
from bnstats.networks.stages import Add, Skip
from bnstats.specs.names import resolve
from bnstats.specs.spec import Spec, given_values, parse, value_text

WORDS = ("skip", "add", "flatten")


@dataclass(frozen=True)
class ShapedStack(Choices):
    """A block of layers, repeated, on inputs of a shape.

    Attributes
    ----------
    block
        Specs, and the words ``skip``, ``add`` and ``flatten``.
    input
        The shape of one input.
    depth, batch
        Repetitions of the block; inputs that pass through together.
    init, gain, bias_std, scale
        As of `bnstats.networks.stack.Stack`.

    Raises
    ------
    BnstatsError
        A layer whose input has a shape that it cannot take, or that is none of such a stack.
    """

    block: tuple[str, ...]
    input: InputShape
    depth: int = 1
    batch: int = 2
    init: str = "he"
    gain: float | None = None
    bias_std: float = 0.0
    scale: Scale = "none"

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All layers of all blocks, in order."""
        steps: list[Step] = []
        shape, trunks = self.input.sides, list[Shape]()
        for at in range(self.depth * len(self.block)):
            text = self.block[at % len(self.block)]
            word, _, given = text.partition(":")
            step: Step
            if word == "skip" and not given:
                trunks.append(shape)
                step = Skip()
            elif word == "add":
                if not trunks:
                    raise BnstatsError("add without a skip before it", hint="skip … conv2d add")
                trunk = trunks.pop()
                if trunk != shape:
                    raise self._misfit(at, shape, f"{by_x(trunk)}, the shape of its trunk")
                step = Add(text, alpha_of(given) if given else 1.0)
            elif text == "flatten":
                step = Flatten((math.prod(shape),))
            else:
                step = self._placed(at, text, shape)
            steps.append(step)
            shape = getattr(step, "shape", shape)
        if trunks:
            raise BnstatsError("skip without an add after it", hint="skip … conv2d add")
        return tuple(steps)

    @property
    def nodes(self) -> list[Node]:
        """The layers, and the layers whose outputs each takes."""
        found, trunks, shape = list[Node](), list[int](), self.input.sides
        for at, step in enumerate(self.steps):
            if isinstance(step, Skip):
                trunks.append(at)
            trunk = (trunks.pop(),) if isinstance(step, Add) else ()
            found.append(Node(step, (*trunk, at - 1), shape))
            shape = getattr(step, "shape", shape)
        return found

    @property
    def specs(self) -> Iterator[Spec]:
        """The layers, which may be the user's own."""
        return (s.spec for s in self.steps if isinstance(s, Placed))

    @property
    def kept(self) -> tuple[int, float]:
        """How many layers have weights, and what the others make of E[x²]."""
        placed = [s for s in self.steps if isinstance(s, Placed)]
        weighted = [s for s in placed if "weight" in s.spec.bound.inputs]
        factors = (s.squares[0] * s.forward**2 for s in placed if s not in weighted)
        return len(weighted), math.prod(factors)

    @property
    def numbers(self) -> int:
        """Numbers of all signals of one network, which the way back needs."""
        sizes = (math.prod(s.shape) for s in self.steps if isinstance(s, Placed | Flatten))
        return self.batch * (sum(sizes) + math.prod(self.input.sides))

    @property
    def weights(self) -> int:
        """Weights of one network."""
        inputs = (s.spec.bound.inputs for s in self.steps if isinstance(s, Placed))
        return sum(math.prod(i["weight"].shape) for i in inputs if "weight" in i)

    def _placed(self, at: int, text: str, shape: Shape) -> Placed:
        name, _, items = text.partition(":")
        found, given = resolve(name), dict[str, str]()
        if found is None:
            layer = parse(text, load_typed).layer
        else:
            layer, carried = found
            name, whole = layer.name, f"{carried},{items}"
            parts = (item.partition("=") for item in whole.split(",") if item)
            given = {key: value for key, _, value in parts}
        try:
            if is_structured(layer):  # an init may be one of the stack's
                own = {key: value for key, value in given.items() if key != "init"}
                given |= {k: value_text(v) for k, v in given_values(layer, own).items()}
            event, values = fitted(layer, given, shape, self.batch)
        except MisfitError as misfit:
            raise self._misfit(at, shape, str(misfit)) from None
        except BnstatsError as error:
            raise self._refused(at, shape, layer, error) from error
        law: dict[str, str] = {}
        drawn = None
        if "init" in {p.name for p in layer.parameters}:
            fan = _fan_in(given, values, shape)
            drawn = drawn_by(self.init, self.gain, self.bias_std, given, fan)
            given.pop("bias", None)  # which is the stack's to draw
            law = {"init": drawn.init}
            law |= {} if drawn.gain is None else {"gain": repr(drawn.gain)}
        whole = ",".join(f"{k}={v}" for k, v in (given | values | law).items())
        try:
            spec = parse(f"{name}:{whole}" if whole else text, load_typed)
        except BnstatsError as error:
            if not values:
                raise
            raise self._refused(at, shape, layer, error) from error
        if event is None and any(i.shape for i in spec.bound.inputs.values()):
            raise BnstatsError(
                f"{printable(text, 60)} is no layer of a stack with shapes",
                hint="linear, convolutions, pools, padding, resizing, norms, softmax, activations, "
                "gated units, dropout, flatten, skip and add",
            )
        out = shape if event is None else out_shape(spec, event, shape)
        spec = spec if event else spec.under(Law())
        placed = Placed(text, spec, event, out, isolated_squares(spec))
        if drawn is not None:
            return replace(placed, bias_std=drawn.bias_std, bias_law=drawn.bias_law)
        forward, backward = self.factors(text, spec)
        return replace(placed, forward=forward, backward=backward)

    def _told(self, at: int, got: Shape) -> str:
        text = printable(self.block[at % len(self.block)], 60)
        return f"layer {at + 1}, {text}, gets {by_x(got)}"

    def _refused(self, at: int, got: Shape, layer: Layer, error: BnstatsError) -> BnstatsError:
        said = error.message.removeprefix(f"{layer.name}: ")
        return BnstatsError(f"{self._told(at, got)}: {said}", hint=error.hint)

    def _misfit(self, at: int, got: Shape, wanted: str) -> BnstatsError:
        again = at >= len(self.block)
        return BnstatsError(
            f"{self._told(at, got)}; it wants {wanted}",
            hint="the block is repeated and has changed the shape: `depth=1`" if again else None,
        )


def _fan_in(given: Mapping[str, str], values: Mapping[str, str], shape: Shape) -> int:
    """Return how many inputs an output sums, for torch's biases."""
    kernel = 1
    if "in_channels" in values:
        sides = given.get("kernel_size", "3").split("x")
        kernel = math.prod(map(int, sides)) if len(sides) > 1 else int(sides[0]) ** (len(shape) - 1)
    channels = int(values.get("in_channels", values.get("in_features", "1")))
    return channels * kernel // int(given.get("groups", "1"))
