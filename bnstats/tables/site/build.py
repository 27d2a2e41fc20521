"""The site as texts: its pages, and the files that all of them share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from bnstats.claims.grades import GRADES
from bnstats.errors import HostError
from bnstats.report.rows import interval_title
from bnstats.sampling.watch import Watch
from bnstats.specs.families import ordered_families
from bnstats.tables.published.audit import audited
from bnstats.tables.site.claims import claim_rows, set_rows
from bnstats.tables.site.content import LayerPage, layer_pages

STATIC = ("site.css", "site.js", "icon.svg")


def build(constants: Mapping[str, Any], watch: Watch | None = None) -> dict[str, str] | None:
    """Return the files of the site by their path, or None when stopped before the end.

    The same document gives the same texts.

    Parameters
    ----------
    constants
        The document of all constants, which `bnstats.documents.read.read_constants` reads.
    watch
        Told of each layer, and asked whether to stop.

    Raises
    ------
    HostError
        jinja2 is not installed.
    BnstatsError
        The document lacks a layer, or has one that bnstats does not know.
    """
    try:
        from bnstats.tables.site.rendering import templates
    except ModuleNotFoundError:
        raise HostError("jinja2 is not installed", hint="pip install 'bnstats[site]'") from None
    watch, found, claims = watch or Watch(), templates(), claim_rows(audited(constants))
    pages = layer_pages(constants, claims)
    grades = Counter(row.audited.grade for row in claims)
    found.globals.update(
        claims=claims,
        sets=set_rows(claims),
        grades={grade: grades[grade] for grade in GRADES if grades[grade]},
        provenance=constants["provenance"],
        interval=interval_title(constants["provenance"]),
        variants=sum(len(page.variants) for page in pages),
        # of a layer's name
        paths={page.layer.name: page.path for page in pages},
    )
    layer, index, audit = (found.get_template(f"{n}.html") for n in ("layer", "index", "audit"))
    files = {name: _static(name) for name in STATIC}
    for done, page in enumerate(pages):
        watch.layer(page.layer.name, done, len(pages))
        if watch.stopping():
            return None
        files[page.path] = layer.render(page=page, here="layers", root="../")
    files["index.html"] = index.render(pages=_by_family(pages), here="layers", root="")
    files["audit.html"] = audit.render(here="audit", root="")
    return files


def _by_family(pages: Iterable[LayerPage]) -> list[LayerPage]:
    """Sort pages by family; families and layers come first that more libraries have."""
    rank = {family: number for number, family in enumerate(ordered_families())}

    def key(page: LayerPage) -> tuple[int, int, str]:
        last = len(rank)  # compositions are of no family
        return rank.get(page.layer.family, last), -len(page.libraries), page.layer.name

    return sorted(pages, key=key)


def _static(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text("utf-8")
