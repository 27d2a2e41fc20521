"""What goes into a network: the text of a shape, and numbers of that shape."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from bnstats.errors import BnstatsError, kind_of, printable

_MOST_NUMBERS = 2**26
_HINT = "`input='3x224x224'`, or `input='tokens:50257x128'` for 128 of 50257 tokens"


@dataclass(frozen=True)
class InputShape:
    """One input: the sides of its array, and of tokens how many there are.

    Attributes
    ----------
    sides
        Without the batch.
    tokens
        The elements are whole numbers below this; None of normal ones.
    """

    sides: tuple[int, ...]
    tokens: int | None = None

    def __str__(self) -> str:
        sides = "x".join(map(str, self.sides))
        return sides if self.tokens is None else f"tokens:{self.tokens}x{sides}"

    def draw(self, batch: int, generator: Any) -> Any:
        """Return a tensor (batch, *sides) from a torch.Generator."""
        import torch

        shape = (batch, *self.sides)
        if self.tokens is not None:
            return torch.randint(self.tokens, shape, generator=generator)
        return torch.randn(shape, generator=generator)


def input_shape(given: str | int | tuple[int, ...] | list[int]) -> InputShape:
    """Return the shape of one input from ``3x224x224``, ``tokens:50257x128`` or whole numbers.

    Raises
    ------
    BnstatsError
        The text is no shape, or an input holds too many numbers.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        given = (given,)
    if isinstance(given, tuple | list):
        given = "x".join(map(str, given))
    if not isinstance(given, str):
        raise BnstatsError(f"input is {kind_of(given)}, not a shape", hint=_HINT)
    match = re.fullmatch(r"(tokens:)?([1-9]\d{0,8}(?:x[1-9]\d{0,8}){0,7})", given, re.ASCII)
    sides = tuple(map(int, match[2].split("x"))) if match else ()
    if match is None or (match[1] and len(sides) < 2):
        raise BnstatsError(f"input '{printable(given, 60)}' is not a shape", hint=_HINT)
    shape = InputShape(sides[1:], sides[0]) if match[1] else InputShape(sides)
    if math.prod(shape.sides) > _MOST_NUMBERS:
        raise BnstatsError(
            f"one input of {shape} holds {math.prod(shape.sides):,} numbers, more than "
            f"{_MOST_NUMBERS:,}"
        )
    return shape
