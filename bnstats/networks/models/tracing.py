"""What a model does with its signal, as a graph of the layers that it calls.

Which call's output another one takes is read off the graph of gradients: between them lie views at
most. Anything else on the way is an operation that nothing is known of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from bnstats.networks.models.placing import Traced
from bnstats.networks.shapes.steps import is_structured
from bnstats.specs.names import resolve
from bnstats.specs.spec import value_text

_VIEW = re.compile("(Alias|Clone|ReshapeAlias|Squeeze|UnsafeView|Unsqueeze|View)Backward[0-9]")
_FAR = 5.0  # standard errors of a mean of 0


class Taken(NamedTuple):
    """What a call was given: the nodes and the shapes of its tensors, and if that was all."""

    nodes: list[Any]
    shapes: list[tuple[int, ...]]
    alone: bool


class Trace:
    """The calls of one forward pass, in the order in which they end.

    Attributes
    ----------
    calls
        So far; the last one is the model's output.
    """

    def __init__(self, batch: int) -> None:
        self.calls: list[Traced] = []
        self._batch = batch
        self._made: dict[Any, int] = {}  # by node of the graph of gradients
        self._sizes: dict[int, tuple[int, ...]] = {}
        self._owners: dict[int, str] = {}  # of weights, by their place in memory

    def begins(self, x: torch.Tensor) -> None:
        """Take the model's input, which without gradients is none that is known."""
        self._sizes[-1] = tuple(x.shape[1:])
        if x.grad_fn is not None:
            self._made[x.grad_fn] = -1

    def ends(self, y: torch.Tensor) -> None:
        """Take the model's output."""
        self._add(self._passing(self._source(y.grad_fn), y), None)

    def called(
        self,
        what: nn.Module | str,
        name: str,
        taken: Taken,
        y: torch.Tensor,
        place: tuple[Any, Any],
    ) -> None:
        """Take a call of a module or a function of torch's, with its row and its weights' place."""
        row, weights = place
        layer, given, why = _known(what, taken)
        owned = self._owned(what, name)
        same, made = self._passed(y.grad_fn), tuple(y.shape[1:])
        got = taken.shapes[0][1:] if taken.shapes else ()
        whole = all(shape[:1] == (self._batch,) for shape in (*taken.shapes, y.shape))
        if same is not None and whole:
            traced = self._passing(same, y)._replace(row=row)
        elif layer and whole:
            sources = tuple(self._source(node) for node in taken.nodes)
            traced = Traced(layer, given, got, made, sources, row, weights, owned)
        else:
            why = why or "it takes no batch"
            traced = Traced("", {}, got, made, self._behind(y.grad_fn), row, None, why)
        self._add(traced, y.grad_fn)

    def _passing(self, source: int, y: torch.Tensor) -> Traced:
        made = tuple(y.shape[1:])
        return Traced("", {}, self._sizes[source] or made, made, (source,))

    def _add(self, traced: Traced, node: Any) -> int:
        at = len(self.calls)
        self.calls.append(traced)
        self._sizes[at] = traced.made
        if node is not None:
            self._made[node] = at
        return at

    def _passed(self, node: Any) -> int | None:
        """Return the call whose output a node is, or a view of it."""
        while node is not None and node not in self._made:
            if not _VIEW.fullmatch(type(node).__name__):
                return None
            node = node.next_functions[0][0]
        return self._made.get(node)

    def _source(self, node: Any) -> int:
        """Return the call whose output a node is; what stands between becomes one of its own."""
        found = self._passed(node)
        if found is not None:
            return found
        op = re.sub("Backward[0-9]*$", "", type(node).__name__).lower()
        why = f"{op} is no layer of the catalogue" if node else "no gradient leads to what it takes"
        return self._add(Traced("", {}, (), (), self._behind(node), why=why), node)

    def _behind(self, node: Any) -> tuple[int, ...]:
        """Return all calls whose outputs a node depends on."""
        found, seen, waiting = set[int](), set[Any](), [node]
        while waiting:
            node = waiting.pop()
            if node in self._made:
                found.add(self._made[node])
            elif node is not None and node not in seen:
                seen.add(node)
                waiting += [before for before, _ in node.next_functions]
        return tuple(sorted(found))

    def _owned(self, what: nn.Module | str, name: str) -> str:
        """Return why a wide network's like is not known of a module, because of its weights."""
        weight = tensor_of(what, "weight")
        if weight is None or weight.dim() < 2:
            return ""
        place = weight.data_ptr()
        if place in self._owners:
            return f"its weights are those of {self._owners[place]}"
        self._owners[place] = name
        if abs(float(weight.sum())) > _FAR * float(weight.norm()):
            return "its weights are not drawn about 0"
        bias = tensor_of(what, "bias")
        drawn = bias is None or bias.numel() == 1 or not _alike(bias)
        return "" if drawn else "its bias is not drawn"


def taken_of(args: Any, kwargs: Any) -> Taken:
    """Return what a call is given, before it may overwrite it."""
    given = [*args, *(v for k, v in kwargs.items() if k != "inplace")]
    tensors = [
        t
        for t in given
        if isinstance(t, torch.Tensor) and t.is_floating_point() and not isinstance(t, nn.Parameter)
    ]
    shapes = [tuple(t.shape) for t in tensors]
    return Taken([t.grad_fn for t in tensors], shapes, len(tensors) == len(given))


def is_torchs(module: nn.Module) -> bool:
    """Whether a module is a layer of torch's own that holds no other."""
    return type(module).__module__.startswith("torch.nn.") and not any(module.children())


def tensor_of(what: nn.Module | str, name: str) -> Any:
    """Return the weight or the bias of a module, without gradients; None if there is none."""
    if isinstance(what, str):
        return None
    # An attribute of torch's layers may be computed from parameters; one of others may be anything.
    found = getattr(what, name, None) if is_torchs(what) else what._parameters.get(name)
    return found.detach() if isinstance(found, torch.Tensor) else None


def _known(what: nn.Module | str, taken: Taken) -> tuple[str, dict[str, str], str]:
    """Return the catalogue's name of a call and its parameters, or else why there is none."""
    if what == "add":
        return ("add", {}, "") if taken.alone else ("", {}, "it is no plain sum")
    if isinstance(what, str):
        found, kind = resolve(f"torch.nn.functional.{what}"), what
    else:
        kind = type(what).__name__
        found = resolve(f"torch.nn.{kind}") if is_torchs(what) else None
    if found is None:
        return "", {}, f"{kind} is no layer of the catalogue"
    layer, _ = found
    if not taken.alone or (isinstance(what, str) and is_structured(layer)):
        return "", {}, f"{kind} has arguments that are not read"
    if isinstance(what, str):
        return layer.name, {}, ""
    given: dict[str, str] = {}
    for p in layer.parameters:
        value = getattr(what, p.name, None)
        if isinstance(value, torch.Tensor) and p.name != "bias":
            value = _alike(value)
        if isinstance(value, bool | int | float | str | tuple) and value != ():
            given[p.name] = value_text(value)
    why = _unlike(what, given, len(taken.shapes[0]) if taken.shapes else 0)
    return "" if why else layer.name, given, why


def _unlike(module: nn.Module, given: Mapping[str, str], sides: int) -> str:
    """Return why a module is not what the catalogue has under its name; the batch is a side."""
    padding = getattr(module, "padding_mode", "zeros")
    if padding != "zeros":
        return f"its padding is {padding}"
    if not module.training and getattr(module, "running_mean", None) is not None:
        return "it is evaluated, with running means"
    axis: Any = getattr(module, "dim", "none")
    if axis != "none" and (axis is None or axis % sides != (1 if sides > 3 else sides - 1)):
        return "it works along another axis"
    weight, bias = tensor_of(module, "weight"), tensor_of(module, "bias")
    if weight is None or weight.dim() > 1 or "weight" in given:
        return ""
    plain = _alike(weight) is not None and (bias is None or not bias.any())
    return "" if plain else "its scale or bias differs between channels"


def _alike(tensor: Any) -> float | None:
    """Return the number that all elements of a tensor are; None if they differ."""
    low, high = torch.aminmax(tensor.detach())
    return float(low) if low == high else None
