"""Forward and backward of a layer of torch, jax, flax or keras, called by its public name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import isclass, signature
from typing import Any

import numpy as np
from library_names import defaults, required

from bnstats.specs.libraries import PARAMETERS

Shape = tuple[int, ...]

# What a library asks for beyond our parameters. Modes: the statistics are those of training.
_TRAINING = {
    "deterministic": False,
    "train": True,
    "use_running_average": False,
}


def thing(path: str) -> Any:
    """Return the class or function of a public name."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def options(path: str, said: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments: what is said, in the library's words, and what it demands.

    Parameters
    ----------
    path
        The public name.
    said
        Values by our names of parameters; those that the library does not have are left out.
    given
        Values for the library's own parameters, given where it has them.
    """
    taken = [*required(thing(path)), *defaults(thing(path))]
    words = {ours: name for name in taken for ours in PARAMETERS.get(name, (name,))}
    found = {words[name]: value for name, value in said.items() if name in words}
    return found | {name: value for name, value in given.items() if name in taken}


def passes(
    path: str, keywords: Mapping[str, Any], x: np.ndarray, dy: Callable[[Shape], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx of a call with x alone and keyword arguments.

    torch computes in float64, jax, flax and keras (on jax) in float32.

    Parameters
    ----------
    path, keywords
        The public name, and what is said besides x.
    x
        As the library wants it.
    dy
        Returns dy of the shape of y.
    """
    if path.startswith("torch."):
        return _by_torch(path, keywords, x, dy)
    return _by_jax(_function(path, keywords), x, dy)


def _by_torch(
    path: str, keywords: Mapping[str, Any], x: np.ndarray, dy: Callable[[Shape], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    import torch

    torch.manual_seed(0)
    leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    arguments = dict(keywords)
    for name, value in keywords.items():
        arguments[name] = torch.tensor(value) if isinstance(value, np.ndarray) else value
    call = thing(path)
    x_ = leaf.clone()  # a name that ends in _ works in place
    y = call(**arguments).double()(x_) if isclass(call) else call(x_, **arguments)
    y = y[0] if isinstance(y, tuple) else y  # with indices
    (dx,) = torch.autograd.grad(y, leaf, torch.tensor(dy(tuple(y.shape))))
    return y.detach().numpy(), dx.numpy()


def _function(path: str, keywords: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return the function of x that a name of jax, flax or keras stands for."""
    call = thing(path)
    if not isclass(call):
        return lambda x: call(x, **keywords)
    if path.startswith("flax.linen"):
        import jax

        def linen(x: Any) -> Any:
            seeds = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
            return call(**keywords).init_with_output(seeds, x)[0]

        return linen
    if path.startswith("flax.nnx"):
        from flax import nnx

        seeded = "rngs" in signature(call.__init__).parameters

        def made_here(x: Any) -> Any:  # statistics and counters change where they were made only
            return call(**keywords, **({"rngs": nnx.Rngs(0)} if seeded else {}))(x)

        return made_here
    layer = call(**keywords)
    mode = {"training": True} if "training" in signature(layer.call).parameters else {}
    return lambda x: layer(x, **mode)


def _by_jax(
    call: Callable[[Any], Any], x: np.ndarray, dy: Callable[[Shape], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    import jax

    y, pull = jax.vjp(call, jax.numpy.asarray(x, dtype=np.float32))
    (dx,) = pull(jax.numpy.asarray(dy(y.shape), dtype=np.float32))
    return np.asarray(y, float), np.asarray(dx, float)


def in_training(path: str) -> dict[str, Any]:
    """Return the modes in which a flax layer trains: torch's do, and keras' are told to."""
    return dict(_TRAINING) if path.startswith("flax.") else {}
