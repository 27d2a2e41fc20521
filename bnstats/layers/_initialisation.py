"""Initialisations of a weight tensor, drawn afresh for every draw of a layer.

All of them are symmetric about 0 with uncorrelated elements of one variance, which is therefore all
that E[y], σ[y] and σ[dx] know of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

from bnstats.layers._bound import Array, Input, Namespace
from bnstats.layers._parameters import Assumed, ParameterError, Range, Synonyms

Init = Literal[
    "unit_fan_in",
    "unit_fan_out",
    "xavier_normal",
    "xavier_uniform",
    "glorot_normal",
    "kaiming_normal",
    "kaiming_uniform",
    "he_normal",
    "lecun_normal",
    "lecun_uniform",
    "truncated_normal",
    "orthogonal",
    "torch",
    "keras",
    "flax",
]
INIT_SYNONYMS = Synonyms((("glorot_uniform", "xavier_uniform"), ("he_uniform", "kaiming_uniform")))
InitName = Annotated[Init, INIT_SYNONYMS, Assumed()]
Mode = Literal["fan_in", "fan_out"]
Gain = Annotated[float | None, Range("(0, inf)")]
Bias = Annotated[bool, Assumed()]
Distribution = Literal["normal", "uniform", "truncated_normal"]

CITE = (
    "unit: arXiv:1603.01431; xavier: Glorot and Bengio, AISTATS 2010; kaiming: arXiv:1502.01852; "
    "lecun: LeCun et al., Efficient BackProp, 1998; orthogonal: arXiv:1312.6120; "
    "glorot_normal, he_normal, lecun_normal and truncated_normal as in jax and keras: cut at ±2σ, "
    "σ corrected for it; torch, keras and flax: what their layers do unless told otherwise"
)

# gain², the fan that divides it (None: as `mode` says) and the law of the elements
_SCALED: dict[Init, tuple[float, Literal["fan_in", "fan_avg"] | None, Distribution]] = {
    "xavier_normal": (1.0, "fan_avg", "normal"),
    "xavier_uniform": (1.0, "fan_avg", "uniform"),
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "kaiming_normal": (2.0, None, "normal"),
    "kaiming_uniform": (2.0, None, "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
    "truncated_normal": (1.0, None, "truncated_normal"),
    "torch": (1 / 3, "fan_in", "uniform"),  # kaiming_uniform with a = √5
    "keras": (1.0, "fan_avg", "uniform"),  # glorot_uniform
    "flax": (1.0, "fan_in", "truncated_normal"),  # lecun_normal
}
_LIBRARIES = ("torch", "keras", "flax")

_BELOW_TWO = 0.5 * math.erfc(math.sqrt(2))  # Φ(−2)
TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut at ±2


class Weights(NamedTuple):
    """A random weight tensor.

    Attributes
    ----------
    drawn
        The random numbers behind it.
    ms
        E[W²] of an element.
    tensor
        ``tensor(xp, draws)`` returns it, its draws on the last axis.
    fans
        Those that its scale comes from, in and out; None where it comes from no fan.
    """

    drawn: Input
    ms: float
    tensor: Callable[[Namespace, Array], Array]
    fans: tuple[int, int] | None = None


def weights(
    init: Init,
    mode: Mode,
    gain: float | None,
    shape: tuple[int, ...],
    *,
    a: float = 0.0,
    groups: int = 1,
    transposed: bool = False,
) -> Weights:
    """Return the weights of a convolution, or of a linear layer, which has no kernel.

    Parameters
    ----------
    init
        ``unit_fan_in`` puts the weights of each output on the unit sphere over its inputs,
        ``unit_fan_out`` those of each input on the unit sphere over its outputs, uniformly: normals
        divided by their norm. ``orthogonal`` is torch's: Haar on the semi-orthogonal matrices of
        shape (shape[0], the rest). The others scale independent elements by the fans that
        torch.nn.init reads off the shape: shape[1] and shape[0], times the kernel. ``torch``,
        ``keras`` and ``flax`` are what the layers of these libraries do; flax reads the fans of a
        transposed convolution the other way round.
    mode
        Which fan scales ``kaiming_*`` and ``truncated_normal``; no other has a choice.
    gain
        A factor on all weights. Defaults to √(2/(1 + a²)) for kaiming, √2 for he, and 1.
    shape
        As torch stores it: (outputs, inputs/groups, *kernel), or for a transposed convolution
        (inputs, outputs/groups, *kernel).
    a
        The negative slope of the leaky relu that ``kaiming_*`` makes up for.
    groups, transposed
        Those of the convolution: they tell ``unit_*`` which weights share an output or an input.

    Raises
    ------
    ParameterError
        A mode, a gain or a slope that would have no effect.
    """
    scaled = _SCALED.get(init)
    if mode != "fan_in" and (scaled is None or scaled[1] is not None):
        raise ParameterError(f"mode has no effect with init={init}")
    if gain is not None and (init.startswith("unit") or init in _LIBRARIES):
        raise ParameterError(f"gain has no effect with init={init}")
    if a and not init.startswith("kaiming"):
        raise ParameterError(f"a has no effect with init={init}")
    if a and gain is not None:
        raise ParameterError("a stands for gain=sqrt(2/(1+a^2)): give one of them")
    if scaled is not None:
        square, fan, distribution = scaled
        fan_in, fan_out = fans_of(shape)
        if init == "flax" and transposed:
            fan_in, fan_out = fan_out, fan_in
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        square = square / (1 + a**2) if gain is None else gain**2
        std = math.sqrt(square / fans[fan or mode])
        return independent(distribution, std, shape)._replace(fans=(fan_in, fan_out))
    if init == "orthogonal":
        return _orthogonal(1.0 if gain is None else gain, shape)
    return _unit_norm(shape, groups, by_first=(init == "unit_fan_in") != transposed)


def biases(init: Init, shape: tuple[int, ...], channels: int) -> Weights | None:
    """Return the biases of a layer with such weights; None where all of them are 0.

    torch draws them by the law of its default weights, U(±1/√fan_in); keras and flax begin at 0.

    Raises
    ------
    ParameterError
        An initialisation of weights alone.
    """
    if init not in _LIBRARIES:
        raise ParameterError(
            f"init={init} is one of weights alone; bias=true needs init=torch, keras or flax"
        )
    if init != "torch":
        return None
    square, _, distribution = _SCALED["torch"]
    return independent(distribution, math.sqrt(square / fans_of(shape)[0]), (channels,))


def fans_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return fan_in and fan_out as torch.nn.init and keras read them off a shape."""
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


def independent(distribution: Distribution, std: float, shape: tuple[int, ...]) -> Weights:
    """Return independent elements of a law and a standard deviation."""
    if distribution == "normal":
        return Weights(Input(shape), std**2, lambda xp, w: w * std)
    if distribution == "uniform":
        bound = math.sqrt(3) * std
        return Weights(Input(shape, "uniform"), std**2, lambda xp, u: (2 * u - 1) * bound)
    untruncated, between = std / TRUNCATED_STD, 1 - 2 * _BELOW_TWO

    def cut(xp: Namespace, u: Array) -> Array:
        return xp.ndtri(_BELOW_TWO + between * u) * untruncated

    return Weights(Input(shape, "uniform"), std**2, cut)


def _unit_norm(shape: tuple[int, ...], groups: int, *, by_first: bool) -> Weights:
    """Norm one over all that belongs to an index of the first axis, or of the grouped second."""
    first, second, *kernel = shape
    grouped = (groups, first // groups, second, *kernel)
    over = (2 if by_first else 1, *range(3, len(grouped)))

    def project(xp: Namespace, w: Array) -> Array:
        w = xp.reshape(w, (*grouped, w.shape[-1]))
        w = w / xp.sqrt(xp.sum(w * w, axis=over, keepdims=True))
        return xp.reshape(w, (*shape, w.shape[-1]))

    return Weights(Input(shape), 1 / math.prod(grouped[a] for a in over), project)


def _orthogonal(gain: float, shape: tuple[int, ...]) -> Weights:
    rows, columns = shape[0], math.prod(shape[1:])
    # The longer side goes down; permutations to (n, longer, shorter) and back.
    there, back = ((2, 1, 0), (2, 1, 0)) if rows < columns else ((2, 0, 1), (1, 2, 0))

    def orthogonalise(xp: Namespace, w: Array) -> Array:
        w = xp.permute_dims(xp.reshape(w, (rows, columns, w.shape[-1])), there)
        q, r = xp.linalg.qr(w)
        # QR of normals is Haar once R's diagonal is positive (Mezzadri, math-ph/0609050).
        q = q * (gain * xp.sign(xp.linalg.diagonal(r)))[:, None, :]
        return xp.reshape(xp.permute_dims(q, back), (*shape, q.shape[0]))

    # The vectors of the shorter side have norm one.
    return Weights(Input(shape), gain**2 / max(rows, columns), orthogonalise)
