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

Nothing is imported unless it is named by a person or a program; a file names only what is loaded.
"""

from bnstats.custom.finding import Installed, installed, load, read
from bnstats.custom.registering import register

__all__ = ["Installed", "installed", "load", "read", "register"]
