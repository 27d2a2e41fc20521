"""The static site: every page, every link, what stands there, and how its folder is written."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote, urlsplit

import mpmath as mp
import pytest
import tinyhtml5.parser
import yaml
from cli_support import ROOT, Cli, environment

from bnstats.claims import claim_sets
from bnstats.documents.read import CONSTANTS, read_constants
from bnstats.errors import BnstatsError, HostError
from bnstats.layers import LAYERS
from bnstats.sampling import files as documents
from bnstats.sampling.files import write_folder
from bnstats.sampling.watch import Watch
from bnstats.tables.published import audit
from bnstats.tables.published.audit import audited
from bnstats.tables.site import build as site_build
from bnstats.tables.site import content
from bnstats.tables.site.build import build

RESULTS = Path(ROOT) / "results"
FEW = ("leaky_relu", "relu", "sigmoid")
VOID = {"meta", "link", "wbr", "input", "br"}


class Element(dict[str, str]):
    """An element of a page: its attributes, its tag and the text in it."""

    def __init__(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        super().__init__((key, value or "") for key, value in attributes)
        self.tag, self.text = tag, ""


class Page(HTMLParser):
    """A page as its elements in order, by Python's own parser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, attrs))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        return [e for e in self.elements if e.tag == tag]


@pytest.fixture(scope="module")
def constants() -> dict[str, Any]:
    return dict(read_constants(RESULTS / CONSTANTS))


@pytest.fixture(scope="module")
def site(constants: dict[str, Any]) -> dict[str, str]:
    """The whole site, with three points to a curve over x_std; they are tested by themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "_STDS", (0.1, 1.0, 10.0))
        files = build(constants)
    assert files
    return files


@pytest.fixture(scope="module")
def pages(site: dict[str, str]) -> dict[str, Page]:
    return {path: Page(text) for path, text in site.items() if path.endswith(".html")}


# --- the pages ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_layer_has_a_page_and_every_row_a_place(
    site: dict[str, str], pages: dict[str, Page], constants: dict[str, Any]
) -> None:
    assert {f"layers/{name}.html" for name in LAYERS} <= site.keys()
    linked = {unquote(a["href"]).partition("#")[0] for a in pages["index.html"].all("a")}
    assert {path for path in pages if path.startswith("layers/")} <= linked
    ids = Counter(e.get("id") for page in pages.values() for e in page.all("section"))
    for row in constants["results"]:
        assert ids[row["layer"]] == 1, row["layer"]


@pytest.mark.slow
def test_pages_are_valid_html(site: dict[str, str], pages: dict[str, Page]) -> None:
    for path in pages:
        parser = tinyhtml5.parser.HTMLParser()
        parser.parse(site[path])
        assert not parser.errors, path
        ids = Counter(e["id"] for e in pages[path].elements if "id" in e)
        assert max(ids.values()) == 1, (path, ids.most_common(1))


def test_the_validator_can_fail() -> None:
    parser = tinyhtml5.parser.HTMLParser()
    parser.parse("<!doctype html><title>t</title><table><p>x</table>")
    assert parser.errors


@pytest.mark.slow
def test_every_link_leads_somewhere(site: dict[str, str], pages: dict[str, Page]) -> None:
    ids = {path: {e["id"] for e in page.elements if "id" in e} for path, page in pages.items()}
    followed = 0
    for path, page in pages.items():
        for element in page.elements:
            for target in (element[key] for key in ("href", "src") if key in element):
                parts = urlsplit(target)
                if parts.scheme:  # a source, which only a reader asks for
                    assert (element.tag, parts.scheme) in {("a", "https"), ("a", "http")}, target
                    continue
                assert not parts.path.startswith("/"), target  # a site may lie below another
                there = normpath(join(dirname(path), unquote(parts.path))) if parts.path else path
                assert there in site, (path, target)
                if parts.fragment:
                    assert unquote(parts.fragment) in ids[there], (path, target)
                followed += 1
    assert followed > 1000


@pytest.mark.slow
def test_nothing_is_asked_of_anyone(site: dict[str, str], pages: dict[str, Page]) -> None:
    for page in pages.values():
        tags = {e.tag for e in page.elements}
        assert not tags & {"img", "iframe", "object", "embed", "video", "audio", "source", "base"}
        assert not any(key in e for e in page.elements for key in ("srcset", "style", "action"))
    assert not re.search(r"url\(|@import|@font-face", site["site.css"])
    assert not re.search(r"fetch|XMLHttp|import|https?:|WebSocket|sendBeacon", site["site.js"])
    addresses = set(re.findall(r"https?://[^\"']*", site["icon.svg"]))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a format


@pytest.mark.slow
def test_pages_can_be_read_by_all(pages: dict[str, Page]) -> None:
    titles = Counter(page.all("title")[0].text for page in pages.values())
    assert max(titles.values()) == 1
    for path, page in pages.items():
        assert page.all("html")[0]["lang"] == "en"
        assert len(page.all("h1")) == 1, path
        assert any(m.get("name") == "viewport" for m in page.all("meta"))
        levels = [int(e.tag[1]) for e in page.elements if re.fullmatch("h[1-6]", e.tag)]
        steps = [b - a for a, b in pairwise(levels)]
        assert all(step <= 1 for step in steps), path
        assert all("scope" in th for th in page.all("th")), path
        labels = {label["for"] for label in page.all("label")}
        assert labels == {field["id"] for field in page.all("input")}
        for svg in page.all("svg"):
            assert svg.get("aria-hidden") or (svg["role"], bool(svg["aria-label"])) == ("img", True)
        for region in (e for e in page.elements if e.get("class") == "scroll"):
            assert (region["tabindex"], region["role"]) == ("0", "region")  # scrolled by keys, too
            assert region["aria-label"]


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.slow
def test_colours_stand_out_in_light_and_in_dark(site: dict[str, str]) -> None:
    pairs = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\);", site["site.css"])
    for scheme in (1, 2):
        colours = {pair[0]: luminance(pair[scheme]) for pair in pairs}

        def contrast(a: str, b: str, of: dict[str, float] = colours) -> float:
            high, low = max(of[a], of[b]), min(of[a], of[b])
            return (high + 0.05) / (low + 0.05)

        for text in ("ink", "faint", "link", "good", "noise", "bad", "none"):
            assert min(contrast(text, "paper"), contrast(text, "panel")) >= 4.5, text
        for line in ("line1", "line2", "line3"):
            assert min(contrast(line, "paper"), contrast(line, "shade")) >= 3, line


# --- what stands there ----------------------------------------------------------------------------


def numbers(page: Page) -> dict[str, Element]:
    """Return what can be copied from a page, by what it is."""
    return {e["data-what"]: e for e in page.elements if e.get("data-copy")}


@pytest.mark.slow
def test_numbers_are_right_to_the_digits_that_are_copied(pages: dict[str, Page]) -> None:
    mp.mp.dps = 30

    def mean(f: Any) -> Any:
        return mp.quad(lambda x: f(x) * mp.npdf(x), [-20, -3, 0, 3, 20])

    def s(x: Any) -> Any:
        return 1 / (1 + mp.exp(-x))

    half, ms = mp.mpf(1) / 2, mean(lambda x: s(x) ** 2)
    slope = mp.sqrt(mean(lambda x: (s(x) * s(-x)) ** 2))
    truths = {
        ("sigmoid", "E[y]"): half,
        ("sigmoid", "rms[y]"): mp.sqrt(ms),
        ("sigmoid", "σ[y]"): mp.sqrt(ms - half**2),
        ("sigmoid", "σ[dx]"): slope,
        ("sigmoid", "Var[dx]"): slope**2,
        ("sigmoid", "1/σ[y]"): 1 / mp.sqrt(ms - half**2),
        ("sigmoid", "1/σ[dx]"): 1 / slope,
        ("relu", "E[y]"): 1 / mp.sqrt(2 * mp.pi),
        ("relu", "σ[y]"): mp.sqrt(half - 1 / (2 * mp.pi)),
        ("relu", "1/rms[y]"): mp.sqrt(2),
        ("dropout", "σ[dx]"): mp.sqrt(2),
        ("max_pool2d:kernel_size=2", "E[y]"): 6 / mp.pi**1.5 * mp.atan(mp.sqrt(2)),
    }
    for (spec, symbol), truth in truths.items():
        page = pages[f"layers/{spec.partition(':')[0]}.html"]
        row = page.elements.index(numbers(page)[f"{symbol} of {spec}"])
        copied, bound = page.elements[row]["data-copy"], page.elements[row + 1].text
        off = abs(mp.mpf(copied) - truth)
        assert off <= float(bound.replace("−", "-")) or copied == mp.nstr(truth, 17), (spec, symbol)
        assert off < 1e-13 * abs(truth)


@pytest.mark.slow
def test_whatever_is_copied_is_a_number_as_programs_write_it(pages: dict[str, Page]) -> None:
    seen = 0
    for page in pages.values():
        for what, element in numbers(page).items():
            assert math.isfinite(float(element["data-copy"])), what
            shown = element.text.replace("−", "-")
            assert element["data-copy"] == shown or "(" in shown, what
            seen += 1
    assert seen > 1500


@pytest.mark.slow
def test_a_quantity_without_an_exact_value_has_its_sample_and_the_reason(
    pages: dict[str, Page], constants: dict[str, Any]
) -> None:
    (row,) = (r for r in constants["results"] if r["layer"] == "sparsemax")
    found = numbers(pages["layers/sparsemax.html"])["σ[y] of sparsemax"]
    std, error = row["std_y"]["value"], row["std_y"]["stderr"]
    assert row["std_y"]["exact"] is None
    assert abs(float(found["data-copy"]) - std) < 0.06 * error
    assert re.fullmatch(r"0\.\d+\(\d\d\)", found.text)
    text = " ".join(p.text for p in pages["layers/sparsemax.html"].all("p"))
    assert "No exact E[y], σ[y]" in text or "No exact σ[y]" in text


@pytest.mark.slow
def test_the_audit_is_whole_and_so_is_that_of_each_layer(
    pages: dict[str, Page], constants: dict[str, Any]
) -> None:
    claims = [claim for s in claim_sets() for claim in s.claims]
    counts = Counter(a.grade for a in audited(constants))
    audit = pages["audit.html"]
    shown = Counter(e.text for e in audit.all("span") if e.get("class", "").startswith("grade"))
    assert {grade: n + 1 for grade, n in counts.items()} == shown  # once more in the counts above
    assert {b.text for b in audit.all("b")} == {str(n) for n in counts.values()}
    wanted = Counter((c.spec.layer.name, c.printed.claimed) for c in claims)
    found = Counter(
        (page.all("h1")[0].text, th.text.rpartition(" = ")[2])
        for page in pages.values()
        for th in page.all("th")
        if " = " in th.text and page.all("h1")[0].text in LAYERS.keys() | {n for n, _ in wanted}
    )
    assert found == wanted
    assert len(claims) == sum(counts.values())
    relu = next(
        e.text for e in pages["layers/relu.html"].all("tr") if "1.7139588594436646" in e.text
    )
    for said in ("1.71285855", "+0.064 %", "last digits are noise", "nfnets", "3 of 17 digits"):
        assert said in relu
    assert "instead: 1.712858550450" in relu


@pytest.mark.slow
def test_a_claim_about_other_inputs_stands_apart(pages: dict[str, Page]) -> None:
    unusual = [
        claim
        for s in claim_sets()
        for claim in s.claims
        if claim.law.changes or claim.inverse is not None
    ]
    assert unusual
    for claim in unusual:
        page = next(p for p in pages.values() if p.all("h1")[0].text == claim.spec.layer.name)
        assert "Published for other inputs" in [h.text for h in page.all("h2")]


@pytest.mark.slow
def test_a_page_says_what_a_layer_is_and_how_to_cite(
    pages: dict[str, Page], site: dict[str, str]
) -> None:
    text = site["layers/leaky_relu.html"]
    for said in (
        *("y = max(0, x) + a·min(0, x)", "at x = 0", "Maas, Hannun and Ng"),
        *("layers.LeakyReLU (negative_slope=0.3)", "float, default: 0.01"),
        *("where the mean is removed", "gain/√fan_in"),
        "bnstats exact leaky_relu:negative_slope=0.2",
        "bnstats compute leaky_relu:negative_slope=0.2 -n 1e7",
    ):
        assert said in text, said
    readme = (Path(ROOT) / "README.md").read_text("utf-8")
    (citation,) = re.findall(r"```bibtex\n(.*?)```", readme, re.DOTALL)
    version = re.search(r'__version__ = "(.*)"', (Path(ROOT) / "bnstats/version.py").read_text())
    assert version
    for page in pages.values():
        assert page.all("pre")[0].text == citation
        assert f"bnstats {version[1]}" in page.all("footer")[0].text


@pytest.mark.slow
def test_the_search_finds_a_librarys_name(pages: dict[str, Page]) -> None:
    rows = {
        e.text.split()[0]: e["data-search"]
        for e in pages["index.html"].all("tr")
        if "data-search" in e
    }
    assert "torch.nn.leakyrelu" in rows["leaky_relu"]
    assert "keras.layers.dense" in rows["linear"]
    assert "torch.nn.leakyrelu" not in rows["relu"]


@pytest.mark.slow
def test_texts_of_others_are_no_markup(
    constants: dict[str, Any], few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = '<script>alert(1)</script> & https://example.org/?a=1&b="2"'
    claims = [
        replace(a, judged=replace(a.judged, claim=replace(a.claim, source=source, remark="<b>")))
        for a in site_build.audited(constants)
    ]
    monkeypatch.setattr(site_build, "audited", lambda _: claims)
    rows = [r for r in constants["results"] if r["layer"].partition(":")[0] in FEW]
    files = build(constants | {"results": rows})
    assert files
    for path in ("audit.html", "layers/relu.html"):
        page = Page(files[path])
        assert len(page.all("script")) == 1
        assert "alert(1)" in "".join(e.text for e in page.all("td"))
        assert any(a["href"] == 'https://example.org/?a=1&b="2"' for a in page.all("a"))


def test_a_page_has_a_name_of_safe_characters_and_its_own() -> None:
    names = ["relu", "2*tanh", "2-tanh", "relu..max_pool2d:kernel_size=2", "Relu", "../../etc", "*"]
    paths = list(content._paths(names))
    assert len(set(paths)) == len(names)
    assert paths[:5] == [
        "layers/relu.html",
        "layers/2-tanh.html",
        "layers/2-tanh-2.html",
        "layers/relu..max_pool2d-kernel_size-2.html",
        "layers/relu-2.html",
    ]
    assert all(re.fullmatch(r"layers/[\w.-]*\.html", path) for path in paths)
    assert not any(".." in path and "/.." in path for path in paths)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be few layers, and no claims on others."""
    monkeypatch.setattr(content, "LAYERS", {name: LAYERS[name] for name in FEW})
    on_few = [
        replace(s, claims=tuple(c for c in s.claims if c.spec.layer.name in FEW))
        for s in claim_sets()
    ]
    monkeypatch.setattr(audit, "claim_sets", lambda: on_few)


@pytest.fixture
def results(few: None, constants: dict[str, Any], tmp_path: Path) -> Path:
    """A folder of results with few layers."""
    rows = [r for r in constants["results"] if r["layer"].partition(":")[0] in FEW]
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / CONSTANTS).write_text(json.dumps(constants | {"results": rows}), "utf-8")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.mark.slow
def test_the_command_writes_the_same_bytes(cli: Cli, results: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    wanted = f"wrote 8 files to {out}; begin with index.html\n"
    assert cli("table", "--out", results, "--site", out) == (0, wanted, "")
    first = tree(out)
    assert first.keys() == {
        *("index.html", "audit.html", "site.css", "site.js", "icon.svg", "manifest.json"),
        *(f"layers/{name}.html" for name in FEW),
    }
    assert cli("table", "--out", results, "--site", out).code == 0  # over itself
    assert tree(out) == first
    assert {p.name for p in tmp_path.iterdir()} == {"results", "site"}


PROGRAM = """
import json, sys
from bnstats.claims import claim_set
from bnstats.tables.published import audit
from bnstats.tables.site import build, content
from bnstats.layers import LAYERS
content.LAYERS = {"relu": LAYERS["relu"]}
few, audit.claim_sets = ("leaky_relu", "relu", "sigmoid"), lambda: [claim_set("feng2016")]
build.audited = lambda c: [a for a in audit.audited(c) if a.claim.spec.layer.name in few]
print(json.dumps(build.build(json.load(open(sys.argv[1], encoding="utf-8")))))
"""


@pytest.mark.slow
def test_the_order_of_hashes_changes_nothing(results: Path) -> None:
    outs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(results / CONSTANTS)],
            env=environment(PYTHONHASHSEED=seed),
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outs[0] == outs[1]
    assert len(outs[0]) > 20_000


def test_what_is_not_there_is_told(
    cli: Cli, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    code, out, err = cli("table", "--out", tmp_path / "none", "--site", site)
    assert (code, out) == (2, "")
    assert re.match(r"error: no .*constants\.json here\nhint:  bnstats table --out", err)
    monkeypatch.setattr(content, "LAYERS", LAYERS)
    monkeypatch.setattr(site_build, "audited", lambda _: [])
    code, out, err = cli("table", "--out", results, "--site", site)
    assert (code, out) == (2, "")
    assert re.match(
        r"error: the table of constants has no abs\nhint:  bnstats table constants", err
    )
    assert not site.exists()


def test_without_the_library_of_templates_nothing_is_written(
    cli: Cli, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.endswith("site.rendering")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    wanted = "error: jinja2 is not installed\nhint:  pip install 'bnstats[site]'\n"
    assert cli("table", "--out", results, "--site", tmp_path / "site") == (4, "", wanted)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    "argv", [("-n", "1000"), ("--seed", "1"), ("--check",), ("published",), ("--cluster", "local")]
)
def test_a_site_draws_and_checks_nothing(cli: Cli, tmp_path: Path, argv: tuple[str, ...]) -> None:
    code, out, err = cli("table", "--site", tmp_path / "site", *argv)
    assert (code, out) == (2, "")
    assert err.startswith("error: --site draws and checks nothing, and does not go with ")
    assert not (tmp_path / "site").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [(("--max-time", "0.000001"), 3, "the time was over"), ((), 130, "interrupted")],
)
def test_what_ends_early_leaves_the_site_as_it_was(
    cli: Cli,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    site = tmp_path / "site"
    assert cli("table", "--out", results, "--site", site).code == 0
    before = tree(site)
    if code == 130:
        real = content.layer_pages

        def pages_and_a_signal(*given: Any) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return real(*given)

        monkeypatch.setattr(site_build, "layer_pages", pages_and_a_signal)
    found = cli("table", "--out", results, "--site", site, *argv)
    assert (found.code, found.out) == (code, "")
    assert found.err.endswith(f"{says}: the site is as it was\n")
    assert tree(site) == before
    assert {p.name for p in tmp_path.iterdir()} == {"results", "site"}


def test_a_watch_is_told_of_layers_and_can_end_the_work(few: None, results: Path) -> None:
    told: list[tuple[str, int, int]] = []
    watch = Watch(on_layer=lambda *layer: told.append(layer), should_stop=lambda: len(told) == 2)
    assert build(read_constants(results / CONSTANTS), watch) is None
    assert told == [("leaky_relu", 0, 3), ("relu", 1, 3)]


def test_the_workflow_publishes_what_it_has_tested() -> None:
    text = (Path(ROOT) / ".github" / "workflows" / "site.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    steps = jobs["build"]["steps"]
    runs = [step.get("run", "") for step in steps]
    (tested,) = (i for i, run in enumerate(runs) if run.startswith("python -m pytest -m browser"))
    (made,) = (i for i, run in enumerate(runs) if run.startswith("bnstats table --site "))
    (kept,) = (i for i, step in enumerate(steps) if "upload-pages" in step.get("uses", ""))
    assert tested < made < kept
    assert steps[kept]["with"]["path"] == runs[made].split()[-1]
    assert "permissions" not in jobs["build"]
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}


# --- the folder -----------------------------------------------------------------------------------


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "site"
    write_folder(folder, {"a.txt": "1\n", "b/c.txt": "σ\n"})
    folder.chmod(0o750)
    write_folder(folder, {"d.txt": "2\n"})
    assert tree(folder).keys() == {"d.txt", "manifest.json"}
    assert folder.stat().st_mode & 0o777 == 0o750
    assert [p.name for p in folder.parent.iterdir()] == ["site"]
    (tmp_path / "link").symlink_to(folder)
    write_folder(tmp_path / "link", {"e.txt": ""})
    assert (tmp_path / "link").is_symlink()
    assert "e.txt" in tree(folder)


def test_an_empty_folder_is_taken_and_anothers_is_not(cli: Cli, results: Path) -> None:
    folder = results.parent / "theirs"
    folder.mkdir()
    write_folder(folder, {"a.txt": "ours"})
    (folder / "CNAME").write_text("theirs")
    before = tree(folder)
    wanted = f"error: {folder} holds CNAME, which bnstats has not written there\n"
    code, out, err = cli("table", "--out", results, "--site", folder)
    assert (code, out) == (2, "")
    assert err == f"{wanted}hint:  name a new or an empty directory\n"
    assert tree(folder) == before
    for text in ("[]", "{", '{"files": ["CNAME", "a.txt"], "generator": "other"}', '{"files": 1}'):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(BnstatsError, match="holds CNAME"):
            write_folder(folder, {"a.txt": ""})
    code, out, err = cli("table", "--out", results, "--site", results / CONSTANTS)
    assert (code, out) == (2, "")
    assert err == f"error: cannot write {results / CONSTANTS}: it is no directory\n"


def test_a_place_that_cannot_be_written_is_told_at_once(
    cli: Cli, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("pages are made for nothing")

    monkeypatch.setattr(site_build, "layer_pages", never)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (tmp_path / ("n" * 300), loop, results / CONSTANTS / "site"):
        code, out, err = cli("table", "--out", results, "--site", path)
        assert (code, out) == (2, "")
        assert err.startswith("error: cannot ")
        assert err.count("\n") == 1
    real = os.access
    monkeypatch.setattr(
        documents.os, "access", lambda path, mode: mode != os.W_OK and real(path, mode)
    )
    found = cli("table", "--out", results, "--site", tmp_path / "site")
    assert found == (2, "", f"error: cannot write {tmp_path / 'site'}: permission denied\n")


@pytest.mark.parametrize("fails", ["write_text", "rename"])
def test_a_disk_that_fails_costs_nothing_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    folder = tmp_path / "site"
    write_folder(folder, {"a.txt": "old"})
    real, calls = getattr(Path, fails), []

    def failing(path: Path, *args: Any, **how: Any) -> Any:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(path, *args, **how)

    monkeypatch.setattr(Path, fails, failing)
    with pytest.raises(HostError, match="No space left on device"):
        write_folder(folder, {"b.txt": "new", "c.txt": "new"})
    assert tree(folder)["a.txt"] == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["site"]
