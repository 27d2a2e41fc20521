"""Functions and modules of torch: differentiated by autograd, and called with numpy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

Array = Any
Call = Callable[[Array], Any]
Pull = Callable[[Array], Array]


class ModuleCall:
    """A module whose parameters and buffers take the dtype and the device of its input.

    It runs in its own mode, training or not, and its changes to buffers are forgotten.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def __call__(self, x: Array) -> Any:
        """Return what the module's forward returns."""
        module = self._module
        state = {
            name: tensor.detach().to(
                x.device, x.dtype if tensor.is_floating_point() else tensor.dtype, copy=True
            )
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        }
        return torch.func.functional_call(module, state, (x,)) if state else module(x)


def built(module: type[torch.nn.Module], values: Mapping[str, Any]) -> torch.nn.Module:
    """Return a new module with parameters in float64; random ones are the same each time."""
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # torch.manual_seed would seed GPUs as well
            return module(**values)
    finally:
        torch.set_default_dtype(before)


def value(call: Call, x: Any) -> Any:
    """Return the results of a function of tensors, a tuple, as numpy's arrays; None stays None."""
    with torch.no_grad():
        return tuple(None if v is None else _numpy(v) for v in call(_tensor(x)))


def value_and_slope(call: Call, x: Any) -> tuple[Any, Any]:
    """Return an elementwise function and its derivative as numpy's arrays."""
    at = _tensor(x)
    y, pull = vjp(call, at)
    return _numpy(y), _numpy(pull(torch.ones_like(at)))


def _tensor(x: Any) -> Array:
    return torch.tensor(x, device="cpu")  # whatever the default device is


def _numpy(found: Array) -> Any:
    return found.detach().cpu().numpy()


def vjp(call: Call, x: Array) -> tuple[Array, Pull]:
    """Return y and the function from dy to dx; ``call`` gets a copy of x, so x stays as it is."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = call(leaf.clone())

    def pull(dy: Array) -> Array:
        if not y.requires_grad:  # a constant
            return torch.zeros_like(dy)
        return torch.autograd.grad(
            y, leaf, dy, retain_graph=True, allow_unused=True, materialize_grads=True
        )[0]

    return y.detach(), pull


def has_own_backward(call: Call, x: Any) -> bool:
    """Whether a torch.autograd.Function of the user's takes part in a function's gradient."""
    with torch.enable_grad():
        y = call(_tensor(x).requires_grad_().clone())
    seen, waiting = set[Any](), [y.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return True
        seen.add(node)
        waiting += [after for after, _ in node.next_functions]
    return False
