"""What a layer or a model of the user's is made of, as it is read: a digest shows changes."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable
from typing import Any

from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, Layer


def source_digest(layer: Layer) -> str | None:
    """Return a digest of the module that a layer of the user's comes from; None of bnstats' own.

    Of a composed layer it is that of the layers which it is made of.

    Raises
    ------
    BnstatsError
        The source cannot be read.
    """
    if layer.made_of:
        return sources_digest(layer.made_of)
    if layer.name in LAYERS:
        return None
    return digest_of_source(inspect.unwrap(layer.bind), layer.name)


def sources_digest(layers: Iterable[Layer]) -> str | None:
    """Return one digest of several layers' sources; None where all are bnstats' own."""
    found = [digest for layer in layers if (digest := source_digest(layer))]
    return hashlib.sha256(" ".join(found).encode()).hexdigest()[:16] if found else None


def digest_of_source(found: Any, name: str) -> str:
    """Return a digest of the module that a function, class or object of the user's comes from.

    The numbers within a torch.nn.Module, and the version of the package, count as well. What the
    module imports in its turn is not read.

    Raises
    ------
    BnstatsError
        The source of what has this name cannot be read.
    """
    of = found if inspect.isroutine(found) or isinstance(found, type) else type(found)
    module = sys.modules.get(getattr(of, "__module__", None) or "")
    root = sys.modules.get(getattr(module, "__name__", "").partition(".")[0])
    digest = hashlib.sha256(str(getattr(root, "__version__", "")).encode())
    try:
        text = inspect.getsource(module or of)
    except (OSError, TypeError):
        if root is None or not hasattr(root, "__version__"):
            raise BnstatsError(
                f"the source of {name} cannot be read, and so not be compared later",
                hint="define it in a module of its own",
            ) from None
        text = getattr(of, "__qualname__", repr(of))  # compiled, of a package that has a version
    digest.update(text.encode())
    if hasattr(found, "state_dict") and not isinstance(found, type):  # a torch.nn.Module
        digest.update(repr(found).encode())
        for name, numbers in sorted(found.state_dict().items()):
            digest.update(name.encode() + numbers.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
