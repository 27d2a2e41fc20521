"""What a parameter may be, in words."""

from __future__ import annotations

from bnstats.layers import Parameter
from bnstats.specs.spec import value_text


def parameter_text(p: Parameter) -> str:
    """Return the kind, the range, the default and the synonyms of a parameter.

    >>> from bnstats.layers import LAYERS
    >>> parameter_text(LAYERS["leaky_relu"].parameters[0])
    'float, default: 0.01'
    """
    kind = "" if p.kind == "word" and p.choices else {"size": "int or 3x3"}.get(p.kind, p.kind)
    kind = " | ".join(filter(None, (kind, *p.choices)))
    parts = [kind]
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
