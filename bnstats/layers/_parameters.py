"""Parameters of a layer, read off the signature of its builder."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """An interval of legal values, written as in mathematics: ``Range("[0, 1)")``."""

    text: str

    def __contains__(self, value: float) -> bool:
        low, high = (float(end) for end in self.text[1:-1].split(","))
        above = value >= low if self.text[0] == "[" else value > low
        below = value <= high if self.text[-1] == "]" else value < high
        return above and below


@dataclass(frozen=True)
class Follows:
    """A parameter that, when left out, takes the value of another one."""

    name: str


@dataclass(frozen=True)
class Synonyms:
    """Other libraries' words for choices: ``Synonyms((("glorot_uniform", "xavier_uniform"),))``."""

    words: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Assumed:
    """Marks a parameter whose default is an assumption that changes the numbers.

    A reader is told the value that was assumed. A library's name asks for it, unless it carries it.
    """


class ParameterError(ValueError):
    """Parameter values that make no layer; raised by a layer's builder."""


# A size per side: one int for all sides, or one for each, written 3x5 in a spec.
Size: TypeAlias = int | tuple[int, ...]
Kind: TypeAlias = Literal["int", "float", "number", "bool", "word", "size"]

# What most parameters are.
Count = Annotated[int, Range("[1, inf)")]
Width = Annotated[Count, Assumed()]
Elements = Annotated[int, Range("[2, inf)"), Assumed()]
Positive = Annotated[float, Range("(0, inf)")]
NonNegative = Annotated[float, Range("[0, inf)")]
Probability = Annotated[float, Range("[0, 1)")]
Share = Annotated[float, Range("[0, 1]")]
Sizes = Annotated[Size, Range("[1, inf)")]
Padding = Annotated[Size, Range("[0, inf)")]
PaddingOrSame = Annotated[Size | Literal["same"], Range("[0, inf)")]
Stride = Annotated[Size | None, Range("[1, inf)"), Follows("kernel_size")]
MapSize = Annotated[Size | None, Range("[1, inf)")]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a layer, as read off the signature of its builder.

    A word without choices is any word, a number an int or a float as it is written: only a user's
    layer has such. A size may also be one of its choices, which are words. ``assumed`` is explained
    by `Assumed`.
    """

    name: str
    kind: Kind
    default: Any
    required: bool
    choices: tuple[str, ...] = ()
    range: Range | None = None
    follows: str | None = None
    synonyms: tuple[tuple[str, str], ...] = ()
    assumed: bool = False


def parameters_of(build: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Read the keyword-only parameters of a builder: type, default and range."""
    return _keyword_parameters(inspect.unwrap(getattr(build, "func", build)))


@functools.lru_cache(maxsize=1)  # one builder stands behind several layers in a row
def _keyword_parameters(declared: Callable[..., Any]) -> tuple[Parameter, ...]:
    if not declared.__code__.co_kwonlyargcount:
        return ()  # sooner known than by its signature, which every start of the program pays for
    hints = get_type_hints(declared, include_extras=True)
    return tuple(
        read_parameter(p.name, hints[p.name], p.default)
        for p in inspect.signature(declared).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    )


def read_parameter(name: str, hint: Any, default: Any) -> Parameter:
    """Read a parameter off its annotation and default; a type no spec can hold: TypeError."""
    notes: list[Any] = []
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
    among = get_args(hint)
    words = [get_args(t) for t in (hint, *among) if get_origin(t) is Literal]
    kinds: dict[Kind, bool] = {
        "word": get_origin(hint) is Literal or hint is str,
        "size": tuple[int, ...] in among,
        "bool": bool in (hint, *among),
        "number": hint == int | float,
        "float": float in (hint, *among),
        "int": int in (hint, *among),
    }
    kind = next((kind for kind, holds in kinds.items() if holds), None)
    if kind is None:
        raise TypeError(f"parameter {name!r} has a type no spec can hold: {hint!r}")
    required = default is inspect.Parameter.empty
    return Parameter(
        name=name,
        kind=kind,
        default=None if required else default,
        required=required,
        choices=sum(words, ()),
        range=next((n for n in notes if isinstance(n, Range)), None),
        follows=next((n.name for n in notes if isinstance(n, Follows)), None),
        synonyms=next((n.words for n in notes if isinstance(n, Synonyms)), ()),
        assumed=any(isinstance(n, Assumed) for n in notes),
    )
