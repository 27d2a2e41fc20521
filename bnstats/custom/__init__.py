"""Layers of the user's own: a function named by its path, installed by a package, or registered.

- ``bnstats compute mypkg.mymodule:my_act:alpha=2`` imports ``my_act(x, *, alpha=1.0)``.
- A package makes ``my_act`` known by that name wherever it is installed, in its pyproject.toml::

    [project.entry-points."bnstats.layers"]
    my_act = "mypkg.mymodule:my_act"

- `register` makes a function a layer of one process.

A function of torch's tensors or of jax's arrays, and a torch.nn.Module or its class, is a layer as
well: ``torch.nn:GELU:approximate=tanh``, ``jax.nn:silu``. It is differentiated by its library's
autodiff; under ``--backend numpy``, and for exact values, it gets numpy's arrays by way of the
processor. Other functions are called with the arrays of the backend as they are.

Nothing is imported unless a person, a program or the project's pyproject.toml names it; a file of
claims names only what is loaded, or lies in a module that these have named.
"""

from bnstats.custom.finding import (
    Installed,
    as_typed,
    installed,
    load_here,
    load_trusted,
    load_typed,
    trust,
)
from bnstats.custom.registering import register

__all__ = [
    "Installed",
    "as_typed",
    "installed",
    "load_here",
    "load_trusted",
    "load_typed",
    "register",
    "trust",
]
