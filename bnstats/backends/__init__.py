"""Array libraries that can run the formulas; each is a namespace ``xp`` and little more.

numpy is the default and the reference; `bnstats.sampling.iid` draws with it. The others are
optional; `bnstats.sampling.counter` draws with them, on the devices that they find. Besides array
functions their modules offer what `Accelerator` lists, and the arithmetic of 32-bit words for
`bnstats.sampling.counter.philox`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from bnstats.errors import BnstatsError, HostError, described, hint_for, not_installed, printable

# By backend, which has the name of the package whose arrays it has: the packages that it needs.
ACCELERATORS = {"torch": ("torch", "array-api-compat"), "jax": ("jax",)}
BACKENDS = ("numpy", *ACCELERATORS)

Keys = list[tuple[int, int]]
Warn = Callable[[str], None]
Launch = Callable[[Keys, int, int, Warn], Any]


@dataclass(frozen=True)
class Device:
    """A device that a backend found.

    Attributes
    ----------
    name
        Its kind and number, e.g. ``cpu:0`` or ``cuda:1``.
    about
        Its description for a reader.
    memory
        The number of bytes that the backend may use now; None if that is not known.
    handle
        The library's own object.
    """

    name: str
    about: str
    memory: int | None = field(compare=False)
    handle: Any

    @property
    def kind(self) -> str:
        """The part of the name before the number, e.g. ``cuda``."""
        return self.name.partition(":")[0]


class Accelerator(Protocol):
    """The functions of an optional backend's module besides the namespace of ``xp``."""

    def devices(self) -> list[Device]:
        """Return the devices that are there, the fastest kind first."""

    def launcher(self, block: Callable[[Any, Any, Any], Any], size: int, device: Device) -> Launch:
        """Return a function that sums ``block(first, remaining, keys)`` over blocks of a size.

        The block gets 64-bit scalars and words of shape (ROUNDS + 1, 2). The function takes the
        keys, the first draw, the number of draws, and a function for warnings; it may return before
        the device has finished.
        """

    def host(self, sums: Any) -> Any:
        """Return the sums of a launch as a numpy array, once they are ready."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an exception of a launch or of `host` means that a block was too large."""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes: a user's function may hide a lack of memory."""
    seen = set[int]()
    while error is not None and id(error) not in seen:  # an exception may be its own cause
        yield error
        seen.add(id(error))
        error = error.__cause__


def load(name: str) -> Any:
    """Import the module of an optional backend.

    Raises
    ------
    BnstatsError
        There is no backend of that name.
    HostError
        A package that it needs is not installed, or cannot be imported.
    """
    check_name(name, tuple(ACCELERATORS))
    if lacking := missing(name):
        raise not_installed(f"backend '{name}' needs", *lacking, extra=name)
    try:
        return import_module(f"bnstats.backends.{name}_backend")
    except Exception as error:
        raise HostError(
            f"backend '{name}': importing {name} raised {described(error)}",
            hint=f"python -c 'import {name}' shows the whole of it",
        ) from error


def check_name(name: str, among: tuple[str, ...] = BACKENDS) -> None:
    """Raise BnstatsError unless there is a backend of that name."""
    if name not in among:
        raise BnstatsError(
            f"backend '{printable(str(name))}' is not one of {', '.join(among)}",
            hint=hint_for(str(name), among),
        )


def missing(name: str) -> tuple[str, ...]:
    """Return the packages that a backend needs and that are not installed."""
    return tuple(p for p in ACCELERATORS.get(name, ()) if find_spec(p.replace("-", "_")) is None)


def found_devices(name: str, backend: Accelerator) -> list[Device]:
    """Return the devices of a backend.

    Raises
    ------
    HostError
        Its library fails to say.
    """
    try:
        return backend.devices()
    except Exception as error:
        raise HostError(f"{name} finds no devices: {described(error)}") from error


def chosen(name: str, backend: Accelerator, wanted: str | None) -> list[Device]:
    """Return the devices that a name means.

    Parameters
    ----------
    name, backend
        The backend's name and its module.
    wanted
        A kind (``cuda``, its first device), a device (``cuda:1``) or all of a kind (``cuda:all``);
        None means the first device.

    Raises
    ------
    HostError
        There is no such device; the hint says which there are.
    """
    found = found_devices(name, backend)
    if wanted is None:
        return found[:1]
    kind, _, which = wanted.partition(":")
    if wanted == kind:
        devices = [d for d in found if d.kind == kind][:1]
    elif which == "all":
        devices = [d for d in found if d.kind == kind]
    else:
        devices = [d for d in found if d.name == wanted]
    if not devices:
        names = ", ".join(d.name for d in found)
        raise HostError(
            f"{name} finds no device '{printable(wanted)}' here",
            hint=f"it finds {names}; a kind such as {found[0].kind} means its first, "
            f"{found[0].kind}:all all of them",
        )
    return devices
