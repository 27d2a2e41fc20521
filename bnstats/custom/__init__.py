"""Layers of the user's own: a function named by its path, installed by a package, or registered.

- ``bnstats compute mypkg.mymodule:my_act:alpha=2`` imports ``my_act(x, *, alpha=1.0)``.
- A package makes ``my_act`` known by that name wherever it is installed, in its pyproject.toml::

    [project.entry-points."bnstats.layers"]
    my_act = "mypkg.mymodule:my_act"

- `register` makes a function a layer of one process.

Nothing is imported unless it is named by a person or a program; a file names only what is loaded.
"""

from bnstats.custom.finding import Installed, installed, load, read
from bnstats.custom.registering import register

__all__ = ["Installed", "installed", "load", "read", "register"]
