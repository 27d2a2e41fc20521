"""From a function to a layer: its signature gives the parameters, its name the formula."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, overload

from bnstats.custom.arrays import adapter, is_module
from bnstats.custom.builders import built, needed, with_known_moments
from bnstats.custom.calls import UserFunction, blamed
from bnstats.errors import BnstatsError, kind_of, printable
from bnstats.layers import (
    ALIASES,
    LAYERS,
    USER_LAYERS,
    BoundLayer,
    Layer,
    Parameter,
    read_parameter,
)

F = TypeVar("F", bound=Callable[..., Any])
Breakpoints = tuple[float, ...] | Callable[..., tuple[float, ...]]


class _About(TypedDict, total=False):
    name: str | None
    breakpoints: Breakpoints
    formula: str | None
    gradient: str | None
    cite: str
    examples: tuple[str, ...]


@overload
def register(function: F, **about: Unpack[_About]) -> F: ...
@overload
def register(function: None = ..., **about: Unpack[_About]) -> Callable[[F], F]: ...
def register(
    function: Any = None,
    *,
    name: str | None = None,
    breakpoints: Breakpoints = (),
    formula: str | None = None,
    gradient: str | None = None,
    cite: str = "",
    examples: tuple[str, ...] = (),
) -> Any:
    """Make a function a layer of this process; also a decorator, with or without arguments.

    Parameters
    ----------
    function
        One of three things. (1) An elementwise function of arrays, ``f(x)`` or ``f(xp, x)``, where
        ``xp`` is the namespace of array functions. It returns y, or y and the slope dy/dx, each of
        the shape and dtype of x; without the slope it is differentiated numerically, or by autodiff
        if arrays are torch's or jax's. Its other arguments are parameters of the layer. (2) An
        elementwise torch.nn.Module, or a class of these. (3) A builder: a function of keyword-only
        parameters that returns a `bnstats.layers.BoundLayer`.
    name
        The layer's name; by default the function's own.
    breakpoints
        The places, in units of x, where y or the slope jumps, or a function that returns them for
        given parameters. Undeclared ones are searched for, and named in a warning.
    formula, gradient, cite
        Texts for a reader: the forward formula, the backward formula, and their source.
    examples
        Texts of parameters for `bnstats show`, e.g. ``("alpha=2",)``.

    Returns
    -------
    function
        The function, unchanged.

    Raises
    ------
    BnstatsError
        The name is that of one of bnstats' own layers, or no name at all; the function takes no
        array, or a parameter that no spec can express; a builder's layer states moments that
        bnstats does not know.

    Examples
    --------
    >>> import bnstats
    >>> @bnstats.register(breakpoints=(0.0,), formula="y = max(0, x)²")
    ... def squared_relu(x):
    ...     return x * x * (x > 0)
    >>> round(bnstats.exact("squared_relu").mean_y.value, 12)
    0.5
    """
    if function is None:
        return functools.partial(
            register,
            name=name,
            breakpoints=breakpoints,
            formula=formula,
            gradient=gradient,
            cite=cite,
            examples=examples,
        )
    name = str(name or getattr(function, "__name__", type(function).__name__))
    if not re.fullmatch(r"\w[\w.]*", name):
        raise BnstatsError(
            f"'{printable(name, 60)}' cannot be a layer's name", hint='register(f, name="my_act")'
        )
    if name in LAYERS or name in ALIASES:
        raise BnstatsError(
            f"{name} is one of bnstats' own layers", hint=f'register(f, name="my_{name}")'
        )
    layer = layer_of(function, name, breakpoints)
    USER_LAYERS[name] = replace(
        layer,
        formula=formula or layer.formula,
        gradient=gradient or layer.gradient,
        cite=cite,
        examples=examples or layer.examples,
    )
    return function


def layer_of(
    function: Any, name: str, breakpoints: Breakpoints = (), family: str = "registered"
) -> Layer:
    """Return the layer that an object is, or that is made of a function.

    Raises
    ------
    BnstatsError
        The object is neither a layer, nor an elementwise function, nor a builder of events.
    """
    if isinstance(function, Layer):
        return with_known_moments(replace(function, name=name, aliases=(), family=family))
    for known in (*LAYERS.values(), *USER_LAYERS.values()):
        if inspect.unwrap(known.bind) is function:
            return replace(known, name=name, aliases=(), family=family)
    module = is_module(function)
    if not callable(function) or (isinstance(function, type) and not module):
        what = "a class" if isinstance(function, type) else kind_of(function)
        raise BnstatsError(
            f"{name} is {what}, not a function", hint="a layer is a function of an array x"
        )
    arguments = _arguments(function, name)
    defaults = {p.name: p.default for p in arguments.parameters if not p.required}

    @functools.lru_cache(maxsize=16, typed=True)
    @functools.wraps(function, updated=())
    def bind(**values: Any) -> BoundLayer:
        values = defaults | values
        if arguments.builds:
            return built(function, name, values)
        from bnstats.custom.events import elementwise_event

        call = UserFunction(name, function, arguments.takes_xp, values)
        if module:
            call = _module_call(function, name, values)
        try:
            with blamed(f"breakpoints of {name}"):
                found = breakpoints(**values) if callable(breakpoints) else breakpoints
            places = tuple(map(float, found))
        except (TypeError, ValueError) as error:
            raise BnstatsError(
                f"{name}: breakpoints are numbers, or a function of its parameters",
                hint="breakpoints=(0.0,)",
            ) from error
        return elementwise_event(call, places)

    shown = getattr(function, "__name__", name.rpartition(":")[2])
    layer = Layer(
        name=name,
        family=family,
        summary=(inspect.getdoc(function) or "A layer of the user's.").partition("\n")[0],
        formula=f"y = {shown}(x)",
        gradient=f"dx = dy·{shown}′(x)",
        declares=lambda: arguments.parameters,
        bind=bind,
        examples=_example(arguments.parameters),
    )
    return with_known_moments(layer) if arguments.builds else layer


def _module_call(module: Any, name: str, values: Mapping[str, Any]) -> UserFunction:
    torch = adapter("torch")
    with blamed(name):
        made = torch.built(module, values) if isinstance(module, type) else module
    return UserFunction(name, torch.ModuleCall(made), False, {}, library="torch")


class _Arguments(NamedTuple):
    takes_xp: bool
    builds: bool
    parameters: tuple[Parameter, ...]


def _arguments(function: Any, name: str) -> _Arguments:
    """Tell f(x) from f(xp, x) and from a builder; every further argument is a parameter.

    Every argument of a class of modules is a parameter; a module has none.
    """
    is_class = isinstance(function, type)
    if is_module(function) and not is_class:
        return _Arguments(False, False, ())
    arrays = getattr(function, "nin", None)  # a ufunc's signature is full of its own options
    if arrays is not None:
        if arrays != 1 or getattr(function, "nout", 1) != 1:
            raise BnstatsError(f"{name} takes {arrays} arrays", hint="a layer takes one array x")
        return _Arguments(False, False, ())
    try:
        signature = _signature(function)
    except (TypeError, ValueError):  # compiled, without a signature
        return _Arguments(False, False, ())
    declared = function.__init__ if is_class else getattr(function, "func", function)
    try:
        hints = typing.get_type_hints(declared, include_extras=True)
    except Exception:  # names that only a type checker imports
        hints = {}
    given = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    positional = [p.name for p in given if p.kind is not p.KEYWORD_ONLY]
    takes_xp = len(positional) > 1 and (positional[0] == "xp" or positional[1] == "x")
    rest = given if is_class else given[2 if takes_xp else 1 if positional else 0 :]
    try:
        parameters = [
            _parameter(p, hints.get(p.name)) for p in rest if p.kind is not p.VAR_POSITIONAL
        ]
    except TypeError as error:
        raise BnstatsError(
            f"{name}: {error}", hint='annotate it: float, int, bool, Literal["a", "b"]'
        ) from None
    found = tuple(p for p in parameters if p is not None)
    return _Arguments(takes_xp and not is_class, not positional and not is_class, found)


def takes_array(function: Any) -> bool:
    """Tell whether a function, or a torch.nn.Module or a class of these, takes an array first.

    A builder does not, nor does a function whose annotation says that it takes something else.
    """
    if is_module(function) or hasattr(function, "nin"):
        return True
    if not callable(function) or isinstance(function, type):
        return False
    try:
        first = next(iter(_signature(function).parameters.values()), None)
    except (TypeError, ValueError):  # compiled, without a signature
        return False
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        return False
    said = getattr(first.annotation, "__name__", str(first.annotation))
    return said not in ("str", "bytes", "bool", "int", "list", "dict", "Path", "PathLike")


def _signature(function: Any) -> inspect.Signature:
    """Read a signature; from Python 3.14 on it may name what only a type checker imports."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def _parameter(p: inspect.Parameter, hint: Any) -> Parameter | None:
    """Read a parameter; None for an option, such as ``out=None``, that no spec can hold."""
    untyped = p.default is p.empty
    if hint is None or (not untyped and {bool, float} <= {*typing.get_args(hint)}):  # ArrayLike
        of_default = {bool: bool, int: int | float, float: float, tuple: int | tuple[int, ...]}
        hint = int | float if untyped else of_default.get(type(p.default), type(p.default))
    try:
        return read_parameter(p.name, hint, p.default)
    except TypeError:
        if p.default is p.empty:
            raise
        return None


def _example(parameters: tuple[Parameter, ...]) -> tuple[str, ...]:
    """Return an example of a layer that does not stand alone."""
    texts = [f"{k}={'true' if v is True else v}" for k, v in needed(parameters).items()]
    return (",".join(texts),) if texts else ()
