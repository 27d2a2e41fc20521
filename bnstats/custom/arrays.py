"""The library, numpy, torch or jax, that an array or a function belongs to."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_ROOTS = {"numpy": "numpy", "torch": "torch", "jax": "jax", "jaxlib": "jax"}


def library_of(array: Any) -> str:
    """Return the library that an array is of, or the empty text."""
    for kind in type(array).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in _ROOTS:
            return _ROOTS[root]
    return ""


def root_library(found: Any) -> str:
    """Return the library that an object is a module of, or comes from, or the empty text."""
    name = getattr(found, "__module__", None) or getattr(found, "__name__", "")
    return _ROOTS.get(str(name).partition(".")[0], "")


def adapter(library: str) -> Any:
    """Return the module that calls and differentiates functions of torch or of jax."""
    return import_module(f"bnstats.custom.{'torch' if library == 'torch' else 'jax'}_functions")


def is_module(found: Any) -> bool:
    """Whether an object is a torch.nn.Module, or a class of them; torch is not imported for it."""
    torch = sys.modules.get("torch.nn")
    if torch is None:
        return False
    return issubclass(found if isinstance(found, type) else type(found), torch.Module)
