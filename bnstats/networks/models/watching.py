"""Hooks on a model: every layer's output and the gradient at its input, reduced at once.

Nothing is kept of a tensor but its numbers, and they are taken at the moment of the call: what the
model overwrites in place later changes none of them. A hook of a tensor sees the gradient with
respect to the value that the tensor had when the hook was set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import get_gradient_edge
from torch.overrides import TorchFunctionMode

from bnstats.networks.models.numbers import Numbers, numbers_of
from bnstats.networks.models.tracing import Taken, Trace, is_torchs, taken_of, tensor_of

# Functions that are layers where a model calls them itself. Of sums, those of two tensors of one
# shape: the ends of residual branches.
_NAMES = """
linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul bmm
embedding relu relu6 elu selu celu gelu silu mish leaky_relu prelu rrelu sigmoid tanh softplus
softsign hardswish hardsigmoid hardtanh logsigmoid glu softmax log_softmax layer_norm rms_norm
batch_norm group_norm instance_norm normalize max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d
avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
adaptive_max_pool2d adaptive_max_pool3d dropout dropout1d dropout2d dropout3d alpha_dropout
interpolate scaled_dot_product_attention
"""
_LAYERS = frozenset(_NAMES.split())
_SUMS = {"add", "iadd", "radd"}
_HOLDERS = {nn.Sequential, nn.ModuleList, nn.ModuleDict}


@dataclass
class Call:
    """One call of a module or a function.

    Attributes
    ----------
    name, layer
        Where it is in the model, and its class.
    got
        The shape of its input.
    first_row
        The number of rows when it began.
    y, dx
        Numbers of its output, and of the gradient at its input; None where there is none.
    has_dx
        Whether its input has a gradient.
    taken
        What it was given, where calls are traced.
    """

    name: str
    layer: str
    got: str
    first_row: int
    y: Numbers | None = None
    dx: Numbers | None = None
    has_dx: bool = False
    taken: Taken | None = None


class Watcher:
    """Watches the calls of a model's layers in one forward and one backward pass.

    Attributes
    ----------
    rows
        The calls in the order in which they ended.
    open
        Those that have begun and not ended, the innermost last.
    blocks
        By class of modules that hold others: the rows where each call begins and ends.
    sources
        Where the graph of gradients begins, if no input has gradients: behind tokens.
    weights
        Of every call of a module that has some: the mean square of what an output sums of them, and
        of biases, for inputs of mean square 1.
    """

    def __init__(self, model: nn.Module, batch: int, wanted: str, trace: Trace | None) -> None:
        self.rows: list[Call] = []
        self.open: list[Call] = []
        self.blocks: dict[str, list[tuple[int, int]]] = {}
        self.sources: list[Any] = []
        self.weights: list[tuple[float, float]] = []
        self._trace = trace
        self._model, self._batch, self._wanted = model, batch, wanted
        self._names = {module: name for name, module in model.named_modules()}
        self._calls: Counter[str] = Counter()
        self._last: tuple[Any, int] = (None, 0)  # the last row's tensor, and its version
        # Above 0 where functions are not the model's own, but those of torch's layers.
        self._inside = 0

    @contextmanager
    def watching(self, x: Any) -> Iterator[None]:
        """Watch what is called within, on an input; what a backward pass calls again is not."""
        if self._trace is not None:
            self._trace.begins(x)
        with ExitStack() as stack:
            for module in self._names:
                if isinstance(module, torch.jit.ScriptModule):
                    continue
                before = module.register_forward_pre_hook(self._begins, with_kwargs=True)
                stack.callback(before.remove)
                stack.callback(module.register_forward_hook(self._ends).remove)
            stack.enter_context(_Functions(self))
            yield
        self._last = (None, 0)

    def ends(self, y: Any) -> None:
        """Take the model's output."""
        if self._trace is not None:
            self._trace.ends(y)

    def _begins(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        own = self._names[module] or type(module).__name__
        self._begin(own, type(module).__name__, args, kwargs)
        self._inside += is_torchs(module)

    def _ends(self, module: nn.Module, args: Any, output: Any) -> None:
        self._inside -= is_torchs(module)
        call, y = self.open.pop(), first_tensor(output)
        holds = next(module.children(), None) is not None
        same = y is not None and self._last[0] is y and self._last[1] == y._version
        plain = type(module) in _HOLDERS
        if not (same and len(self.rows) > call.first_row) and not plain:
            self._end(call, y, module)
        if holds and module is not self._model and not plain:
            rows = call.first_row, len(self.rows) - 1
            self.blocks.setdefault(call.layer, []).append(rows)

    def called(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a function that is a layer, and watch it."""
        inside = self.open[-1].name if self.open else ""
        own = name if inside in ("", type(self._model).__name__) else f"{inside}.{name}"
        self._begin(own, name, args, kwargs)
        y = function(*args, **kwargs)
        self._end(self.open.pop(), first_tensor(y), name)
        return y

    def listens(self, name: str, args: Any) -> bool:
        """Whether a function is a layer, and called by the model itself."""
        if self._inside or not self.open:
            return False
        if name in _SUMS and len(args) == 2:
            a, b = args
            return (
                isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and a.shape == b.shape
            )
        return name in _LAYERS

    def _begin(self, own: str, layer: str, args: Any, kwargs: Any) -> None:
        x = first_tensor((args, kwargs))
        got = "x".join(map(str, x.shape)) if x is not None else "no tensor"
        call = Call(own, layer, got, len(self.rows))
        if self._trace is not None:
            call.taken = taken_of(args, kwargs)
        self.open.append(call)
        if x is not None and x.requires_grad and fnmatchcase(own, self._wanted):
            call.has_dx = True
            x.register_hook(lambda dx: _note(call, dx))

    def _end(self, call: Call, y: Any, what: nn.Module | str) -> None:
        if y is None:
            return
        self._last = y, y._version
        if not call.has_dx and y.requires_grad:
            self.sources.append(get_gradient_edge(y))
        wanted = fnmatchcase(call.name, self._wanted)
        with torch._C.DisableTorchFunction():  # our own arithmetic is nothing to listen to
            own = _squares(what)
            numbers = numbers_of(y, self._batch) if wanted else None
        if own is not None:
            self.weights.append(own)
        if self._trace is not None and call.taken is not None:
            at = None if own is None else len(self.weights) - 1
            self._trace.called(what, call.name, call.taken, y, (wanted, at))
        if not wanted:
            return
        self._calls[call.name] += 1
        if self._calls[call.name] > 1:
            call.name += f"#{self._calls[call.name]}"
        call.y = numbers
        self.rows.append(call)


class _Functions(TorchFunctionMode):
    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        if self._watcher.listens(name, args):
            shown = "add" if name in _SUMS else name
            return self._watcher.called(shown, func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def first_tensor(given: Any) -> Any:
    """Return the first tensor of floats in an object of tuples, lists and mappings, or None.

    Parameters of a model, which a function takes beside its input, are passed over.
    """
    if isinstance(given, torch.Tensor):
        is_signal = given.is_floating_point() and not isinstance(given, nn.Parameter)
        return given if is_signal else None
    if isinstance(given, Mapping):
        given = given.values()
    elif not isinstance(given, tuple | list):
        given = getattr(given, "__dict__", {}).values() if _is_record(given) else ()
    return next((t for t in map(first_tensor, given) if t is not None), None)


def _is_record(given: Any) -> bool:
    return hasattr(type(given), "__dataclass_fields__")


def _squares(what: nn.Module | str) -> tuple[float, float] | None:
    """Return what an output sums of a layer's weights, squared, and E[b²]; None without weights."""
    weight, bias = (tensor_of(what, name) for name in ("weight", "bias"))
    if weight is None:
        return None
    return _square(weight), 0.0 if bias is None else _square(bias)


def _square(tensor: Any) -> float:
    """Return |tensor|² a row; rows are short enough for norms of their own precision."""
    rows = tensor.reshape(max(len(tensor), 1), -1)
    return float(torch.linalg.vector_norm(rows, dim=1).double().square().mean())


def _note(call: Call, dx: Any) -> None:
    call.dx = numbers_of(dx)
