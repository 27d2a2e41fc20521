"""Layers of the user's own: functions named by path, installed by a package, or registered.

- ``bnstats compute mypkg.mymodule:my_act:alpha=2`` imports ``my_act(x, *, alpha=1.0)``.
- A package makes ``my_act`` known by that name wherever it is installed, by its pyproject.toml::

    [project.entry-points."bnstats.layers"]
    my_act = "mypkg.mymodule:my_act"

- `register` makes a function a layer of one process.

A function of torch's tensors or jax's arrays, a torch.nn.Module and a class of modules are layers
as well, e.g. ``torch.nn:GELU:approximate=tanh`` or ``jax.nn:silu``. They are differentiated by the
autodiff of their library. Under ``--backend numpy``, and for exact values, numpy's arrays are
converted for them, on the processor. Other functions are called with the backend's own arrays.

Nothing is imported unless a person, a program or the project's pyproject.toml names it. A file of
claims may name only a layer that is loaded, or that lies in a module which these have named.
"""

from bnstats.custom.finding import Installed as Installed
from bnstats.custom.finding import as_typed as as_typed
from bnstats.custom.finding import attribute as attribute
from bnstats.custom.finding import installed as installed
from bnstats.custom.finding import load_here as load_here
from bnstats.custom.finding import load_trusted as load_trusted
from bnstats.custom.finding import load_typed as load_typed
from bnstats.custom.finding import look_here as look_here
from bnstats.custom.finding import trust as trust
from bnstats.custom.registering import register as register
