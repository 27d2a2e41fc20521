"""The templates of the site, and how they write numbers, names and sources. Needs jinja2."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bnstats.notation import plural
from bnstats.statistics.gains import INITIALISATION
from bnstats.version import __version__

CITATION = """\
@software{bnstats,
  title   = {bnstats: Monte Carlo statistics of deep learning layers, with honest error bars},
  author  = {{The bnstats developers}},
  version = {%s},
  year    = {2026},
  note    = {quote the layer, the law of x and dy, the seed and the number of draws of a number}
}
"""
_ADDRESS = re.compile(r"https?://[^\s;,)]+|arXiv:(\d{4}\.\d{4,5})")
_LINK = Markup('<a href="{}">{}</a>')  # whose format escapes


def templates() -> Environment:
    """Return the templates; what they are given is escaped, and must be all that they name."""
    found = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters.update(
        breakable=breakable,
        linked=linked,
        plural=plural,
        tag=lambda text: text.replace(" ", "-"),
    )
    found.globals.update(
        citation=CITATION % __version__, initialisation=INITIALISATION, version=__version__
    )
    return found


def linked(text: str) -> Markup:
    """Return text in which addresses, and papers of arXiv, are links.

    >>> linked("arXiv:1908.08681 & others")
    Markup('<a href="https://arxiv.org/abs/1908.08681">arXiv:1908.08681</a> &amp; others')
    """
    parts, end = [], 0
    for found in _ADDRESS.finditer(text):
        address = f"https://arxiv.org/abs/{found[1]}" if found[1] else found[0]
        parts += [escape(text[end : found.start()]), _LINK.format(address, found[0])]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def breakable(text: str) -> Markup:
    """Return a spec that a narrow page may fold after each of its parts.

    >>> breakable("elu:alpha=2")
    Markup('elu:<wbr>alpha=2')
    """
    return Markup(re.sub(r"([:,]|\.\.)", r"\1<wbr>", str(escape(text))))
