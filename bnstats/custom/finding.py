"""From a name to the user's code: a path such as mypkg.mymodule:my_act, or an entry point.

`load_typed`, `load_here` and `load_trusted` are policies for `bnstats.specs.spec.parse`. Nothing is
imported unless a person, a program or the project named it: a spec that stands in a file finds only
layers that are loaded already, or that lie in a module which was named as trusted.
"""

from __future__ import annotations

import inspect
import os
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from bnstats.backends import ACCELERATORS, missing
from bnstats.custom.calls import mistake
from bnstats.custom.registering import layer_of, takes_array
from bnstats.errors import BnstatsError, hint_for, not_installed, printable, suggestion
from bnstats.layers import ALIASES, LAYERS, USER_LAYERS, Layer
from bnstats.specs.describe import typed
from bnstats.specs.names import not_loaded, resolve, unknown_layer
from bnstats.specs.spec import Spec

_GROUP = "bnstats.layers"
_trusted: set[str] = set()  # modules whose layers a file may name
_registered_by: dict[str, str] = {}  # layers by name, and the modules whose import registered them


class Installed(NamedTuple):
    """A layer that an installed package offers: its name, the package, and the path of its code."""

    name: str
    package: str
    path: str


def load_typed(name: str) -> Layer:
    """Import the layer of a name that was typed, or that a program gives.

    Parameters
    ----------
    name
        A path such as ``mypkg.mymodule:my_act``, or the name of an installed package's entry point
        in the group ``bnstats.layers``.

    Raises
    ------
    BnstatsError
        The code cannot be imported, or is no layer.
    """
    return _loaded(name, *_path_and_family(name))


def load_here(name: str) -> Layer:
    """Import as `load_typed` does, also from the current directory, as ``python -m`` does."""
    path, family = _path_and_family(name)
    look_here()
    return _loaded(name, path, family)


def look_here() -> None:
    """Let modules of the current directory be found, as ``python -m`` does."""
    _look_in(os.getcwd())


def load_trusted(name: str) -> Layer:
    """Import the layer of a name that stands in a file, if `trust` has allowed it.

    Raises
    ------
    BnstatsError
        As `load_typed`; the hint about a layer that could be imported says how.
    """
    if _is_trusted(name):
        return load_typed(name)
    offered = [entry.name for entry in installed()]
    raise not_loaded(name) if name in offered else unknown_layer(name, offered)


def _is_trusted(name: str) -> bool:
    """Whether a path leads to a function of an array that a trusted module defines itself.

    Any other function would be called with what the file says, and do what it does.
    """
    module, _, attribute = name.partition(":")
    if module not in _trusted or attribute.startswith("_"):
        return False
    found = getattr(sys.modules.get(module), attribute, None)
    if getattr(found, "__module__", None) != module:
        return False
    registered = (inspect.unwrap(layer.bind) for layer in USER_LAYERS.values())
    return isinstance(found, Layer) or takes_array(found) or found in registered


def trust(name: str, directory: Path) -> None:
    """Import a layer or a module, which files may then name.

    Parameters
    ----------
    name
        A layer by its path, ``mypkg.acts:soft_step``, or by its entry point; or a module. Files may
        name every layer of a module, by its path or as it was registered.
    directory
        A further directory to look in, besides the installed packages.

    Raises
    ------
    BnstatsError
        The code cannot be imported, or is no layer.
    """
    _look_in(str(directory))
    if resolve(name):
        return
    if ":" in name or any(entry.name == name for entry in installed()):
        load_typed(name)
    else:
        before = set(USER_LAYERS)
        _module(name, name)
        _trusted.add(name)
        _registered_by.update(dict.fromkeys(set(USER_LAYERS) - before, name))


def as_typed(spec: Spec) -> str:
    """Return a spec as typed on a command line, with the --import that makes its layer known."""
    module = _registered_by.get(spec.layer.name)
    return f"{typed(spec.text)} --import {module}" if module else typed(spec.text)


def _look_in(directory: str) -> None:
    if not sys.flags.safe_path and not _is_looked_in(directory):
        sys.path.append(directory)  # last: a file there must not stand in for a package


def _is_looked_in(directory: str) -> bool:
    return directory in sys.path or (directory == os.getcwd() and "" in sys.path)


def _path_and_family(name: str) -> tuple[str, str]:
    return (name, "user") if ":" in name else _entry_point(name)


def _loaded(name: str, path: str, family: str) -> Layer:
    layer = USER_LAYERS[name] = layer_of(attribute(path), name, family=family)
    return layer


def installed() -> tuple[Installed, ...]:
    """Return the layers that installed packages offer, in order; none of them is imported."""
    from importlib.metadata import entry_points  # 20 ms, and one more for each package

    found = {
        Installed(e.name, e.dist.name if e.dist is not None else "?", e.value)
        for e in entry_points(group=_GROUP)
    }
    return tuple(sorted(found))


def _entry_point(name: str) -> tuple[str, str]:
    """Return the path and the package of a layer that an installed package offers."""
    offered = installed()
    found = [entry for entry in offered if entry.name == name]
    if not found:
        raise unknown_layer(name, [entry.name for entry in offered])
    if len(found) > 1:
        raise BnstatsError(
            f"layer '{name}' is offered by {' and by '.join(e.package for e in found)}",
            hint=f"name one by its path: {found[0].path}",
        )
    return found[0].path, found[0].package


def attribute(path: str) -> Any:
    """Import the object that a path, ``module:attribute``, names.

    Raises
    ------
    BnstatsError
        The module cannot be imported, or has no such attribute.
    """
    module_name, _, attribute = path.partition(":")
    found: Any = _module(module_name, path)
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = vars(found) if hasattr(found, "__dict__") else {}
            callables = [n for n, v in names.items() if callable(v) and not n.startswith("_")]
            file = getattr(found, "__file__", None)
            raise BnstatsError(
                f"'{printable(module_name)}' has no '{printable(part)}'",
                where=printable(path),
                hint=hint_for(part, callables) or (f"it is {file}" if file else None),
            )
        found = getattr(found, part)
    return found


def _module(module_name: str, path: str) -> ModuleType:
    if module_name.endswith(".py"):
        meant = module_name.removesuffix(".py") + path.removeprefix(module_name)
        raise BnstatsError(
            f"'{printable(path)}' names a file", hint=f"name the module: {printable(meant)}"
        )
    try:
        with redirect_stdout(sys.stderr):  # stdout holds results only, not what a module prints
            return import_module(module_name)
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library in ACCELERATORS and library in missing(library):
            raise not_installed(f"{printable(path)} needs", library, extra=library) from error
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _failed(module_name, error) from error
        raise BnstatsError(
            f"no module '{printable(error.name)}'",
            where=printable(path),
            hint=_near(module_name, path),
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit as well
        raise _failed(module_name, error) from error


def _failed(module: str, error: BaseException) -> BnstatsError:
    told = mistake(f"importing {module}", error)
    return BnstatsError(told.message, where=told.where, hint=told.hint)


def _near(module: str, path: str) -> str:
    near = suggestion(path.partition(":")[0], [*LAYERS, *ALIASES])
    if near:
        return f"did you mean the layer '{near}'?  (parameters are KEY=VALUE)"
    if not os.access(os.getcwd(), os.R_OK | os.X_OK):
        return "the current directory cannot be read"
    if not _is_looked_in(os.getcwd()):
        return 'sys.path lacks the current directory; where pytest runs: pythonpath = ["."]'
    return f"it is looked for as by python -m {module}: in the current directory and among packages"
