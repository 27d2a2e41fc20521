"""propagate: from the words of a block to what becomes of a signal in many drawn networks."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from bnstats.errors import ArgumentError, BnstatsError, printable
from bnstats.networks.models.factory import Factory, factory_of, names_a_factory
from bnstats.networks.models.inputs import InputShape, input_shape
from bnstats.networks.propagation import Propagation
from bnstats.networks.running import MOST_NETWORKS, Bounds, propagated
from bnstats.networks.shapes.stack import ShapedStack
from bnstats.networks.shapes.task import ShapedTask
from bnstats.networks.stack import Scale, Stack, chosen
from bnstats.networks.stack_task import task_of
from bnstats.sampling.settings import Sampling

if TYPE_CHECKING:
    from bnstats.networks.models.model import Mode

_MOST_WIDTH, _MOST_DEPTH, _MOST_BATCH = 2**16, 10**5, 2**16
_MOST_TOGETHER = 64  # inputs without shapes, whose Gram matrices are kept for every layer


def propagate(
    *block: str | Callable[..., Any],
    width: int | None = None,
    depth: int | None = None,
    input: str | int | tuple[int, ...] | None = None,  # noqa: A002
    batch: int | None = None,
    mode: Mode = "train",
    rows: str = "*",
    networks: int | float | None = None,
    init: str | None = None,
    gain: float | Literal["auto"] | None = None,
    bias_std: float = 0.0,
    scale: Scale = "none",
    matrices: bool = False,
    precision: float | None = None,
    max_time: float | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    workers: int = 1,
    cluster: Any = None,
    checkpoint: str | PathLike[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_failure: Callable[[BnstatsError], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Propagation:
    """Send normal x forward and normal dy backward through freshly drawn networks.

    They are stacks of layers, or models of your own. Every network is one unit: it has its own
    weights, inputs and dy, and all that lies within it, its inputs and units and layers, is
    dependent and is never counted as more.

    Parameters
    ----------
    block
        What is repeated: ``linear``, activations, and ``skip`` … ``add:alpha=0.2`` for a residual
        branch, as separate arguments or in one text. Or a model: a class or a function that
        returns a torch.nn.Module, or its path, ``my_nets:make:depth=20``; it is called for every
        draw, under a seed of that draw.
    width, depth
        Of a stack: units of every layer, 256, and how often the block is repeated: 30 times, or
        once with ``input``.
    input
        The shape of one input, ``"3x224x224"``, or ``"tokens:50257x128"``. A model needs it; a
        stack that has it may hold convolutions, pools and norms.
    batch
        Inputs that pass through a network together: 2, or 8 with ``input``. Of one there is no
        correlation.
    mode
        Whether a model trains, ``"train"``, or is evaluated, ``"eval"``.
    rows
        Which layers of a model are watched: a pattern such as ``"h.*"``.
    networks
        To draw: 400, of stacks with ``input`` 200, of models 20; or with ``precision`` or
        ``max_time`` as many as it takes.
    init
        Of the weights: a name of the catalogue, or ``he`` (normal, gain √2), ``lecun`` (normal,
        gain 1), ``xavier`` (normal) or ``torch`` (torch.nn.Linear's own, with its biases). Default
        ``he``, and ``lecun`` where activations are scaled or the gain is ``"auto"``.
    gain
        On all weights, in place of the init's own; ``"auto"`` is what the activations of a block
        ask for: the product of their 1/rms[y], spread over its linear layers.
    bias_std
        Of normal biases.
    scale
        ``"forward"`` divides each activation by its rms[y], ``"backward"`` by its rms[dx],
        ``"separate"`` the output by the one and the gradient by the other.
    matrices
        Draw weight matrices also where normal weights need none.
    precision
        Draw until the half-width of the interval of every typical network is at most this share.
    max_time
        Seconds after which nothing further is begun.
    seed, confidence, workers, cluster, checkpoint, should_stop
        As of `bnstats.compute`; the same seed gives the same digits whoever draws.
    on_progress
        Called with the networks so far.
    on_failure
        Called with what ends the run early, such as a lost cluster; the networks so far are
        returned. Without it, or before the first network, that is raised.
    on_note
        Called with what changes no digit, such as a damaged checkpoint; by default a warning.

    Returns
    -------
    Propagation
        ``rows``, ``factor`` and ``verdict``, e.g. ``p.rows[-1].y.typical.interval``.

    Raises
    ------
    BnstatsError
        A layer that has no place in a stack, or whose input has another shape; a model that fails,
        or does not draw its weights anew; an argument outside its range.
    HostError
        A model, and torch is not installed.

    Examples
    --------
    >>> p = propagate("linear relu", width=64, depth=10, networks=200)
    >>> p.verdict, p.rows[-1].y.wide
    ('steady', 1.0)
    """
    sampling = Sampling(
        seed=seed,
        confidence=confidence,
        precision=precision,
        max_time=max_time,
        workers=workers,
        cluster=cluster,
        checkpoint=checkpoint,
    )
    for name, value, most in (
        ("width", width, _MOST_WIDTH),
        ("depth", depth, _MOST_DEPTH),
        ("batch", batch, _MOST_BATCH),
        ("networks", networks, MOST_NETWORKS),
    ):
        if value is not None:
            _check_count(name, value, most)
    count = None if networks is None else int(networks)
    bounds = Bounds(count, sampling, on_progress, on_failure, on_note, should_stop)
    shape = None if input is None else input_shape(input)
    if len(block) == 1 and names_a_factory(block[0], has_input=shape is not None):
        no_effect = {"width": width, "depth": depth, "init": init, "gain": gain}
        no_effect |= {"bias_std": bias_std or None, "scale": None if scale == "none" else scale}
        for name, told in no_effect.items():
            if told is not None:
                raise ArgumentError(f"{name} has no effect on a model, which brings its own")
        return propagated(
            _model_task(factory_of(block[0]), shape, batch, mode, rows, sampling.seed), bounds
        )
    words = tuple(word for text in block for word in str(text).split())
    if not words:
        raise BnstatsError("a stack without layers", hint="bnstats propagate linear relu")
    plain: Stack | ShapedStack
    if shape is None:
        _check_count("batch", batch or 2, _MOST_TOGETHER)
        plain = Stack(words, width or 256, depth or 30, batch or 2, "", None, bias_std, scale)
        stack = chosen(plain, init, gain)
        return propagated(task_of(stack, matrices=matrices, seed=sampling.seed), bounds)
    if width is not None or shape.tokens is not None:
        what = "width" if width is not None else "tokens"
        raise ArgumentError(f"{what} has no place beside the input of a stack, a shape")
    plain = ShapedStack(words, shape, depth or 1, batch or 8, "", None, bias_std, scale)
    shaped = chosen(plain, init, gain)
    shaped.check_numbers(shaped.weights, shaped.numbers)
    return propagated(ShapedTask(shaped, sampling.seed), bounds)


def _model_task(
    factory: Factory, shape: InputShape | None, batch: int | None, mode: Mode, rows: str, seed: int
) -> Any:
    from bnstats.networks.models.model import Model, ModelTask  # torch is slow to import

    if shape is None:
        raise BnstatsError(
            f"{printable(factory.name, 60)} needs the shape of an input",
            hint="`input='3x224x224'`, or `input='tokens:50257x128'`",
        )
    if mode not in ("train", "eval"):
        raise BnstatsError(f"mode '{printable(str(mode), 60)}' is neither train nor eval")
    return ModelTask(Model(factory, shape, batch or 8, mode, rows), seed)


def _check_count(name: str, value: int | float, most: int) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or value != value or not 1 <= value <= most or value != int(value):
        shown = printable(str(value), 40)
        raise ArgumentError(
            f"{name} {shown} is not a whole number from 1 to {most:,}", hint=f"e.g. `{name}=100`"
        )
