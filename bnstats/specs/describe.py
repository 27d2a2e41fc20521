"""What a parameter may be, in words; and how a spec is typed."""

from __future__ import annotations

import shlex

from bnstats.layers import Parameter
from bnstats.specs.spec import value_text


def parameter_text(p: Parameter) -> str:
    """Return the kind, the range, the default and the synonyms of a parameter.

    >>> from bnstats.layers import LAYERS
    >>> parameter_text(LAYERS["leaky_relu"].parameters[0])
    'float, default: 0.01'
    """
    kind = "" if p.kind == "word" and p.choices else {"size": "int or 3x3"}.get(p.kind, p.kind)
    parts = [" | ".join(filter(None, (kind, *p.choices)))]
    if p.range is not None:
        parts.append(f"in {p.range.text}")
    if p.required:
        parts.append("required")
    elif p.follows:
        parts.append(f"default: {p.follows}")
    elif p.default is not None:
        parts.append(f"default: {value_text(p.default)}")
    parts += [f"{word} is {meant}" for word, meant in p.synonyms]
    return ", ".join(parts)


def typed(text: str) -> str:
    """Return a canonical spec as a shell takes it for an argument, and not for an option.

    >>> typed("elu:alpha=2"), typed("-1*relu")
    ('elu:alpha=2', "'0-1*relu'")
    """
    return shlex.quote(f"0{text}" if text.startswith("-") else text)
