"""A results document with any field missing, or of another kind, is refused and blames no bug."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome

from bnstats.claims import claim_set
from bnstats.documents.read import read_constants
from bnstats.errors import BnstatsError
from bnstats.tables.constants import files
from bnstats.tables.published import audit, page

Cli = Callable[..., Outcome]
OTHERS = (None, "x", [1], True, {"a": 1}, float("nan"))


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all that a document holds, of lists the first item's."""
    items = node.items() if isinstance(node, dict) else enumerate(node[:1])
    for key, value in items:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


@pytest.mark.slow
def test_every_damage_is_refused_or_harmless(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for module in (audit, page):  # no document changes what is known of the others
        monkeypatch.setattr(module, "claim_sets", lambda: iter([claim_set("feng2016")]))
    assert cli("compute", "sigmoid", "-n", 2000, "--export", "r.json").code == 0
    whole = json.loads(Path("r.json").read_text("utf-8"))
    refused = 0
    for place in places(whole):
        for value in ("missing", *OTHERS):
            damaged = copy.deepcopy(whole)
            node = damaged
            for key in place[:-1]:
                node = node[key]
            if value == "missing":
                del node[place[-1]]
            else:
                node[place[-1]] = value
            Path("r.json").write_text(json.dumps(damaged), "utf-8")
            try:
                files(read_constants(Path("r.json")))
            except BnstatsError:
                refused += 1
    assert refused > 300
