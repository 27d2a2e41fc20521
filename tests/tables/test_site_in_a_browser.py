"""The site in Chromium: search, sort, copy, themes, widths, and what axe-core finds.

Neither a browser nor its driver comes from the package index, so these tests are run by name:
``python -m pytest -m browser``. They need ``apt-get install chromium chromium-driver`` or the like,
``pip install 'bnstats[browser]'`` and, for the check of accessibility, ``npm install axe-core``.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
from cli_support import ROOT

from bnstats.documents.read import CONSTANTS, read_constants
from bnstats.sampling.files import write_folder
from bnstats.tables.published.audit import Audited, audited
from bnstats.tables.site import content
from bnstats.tables.site.build import build

pytestmark = pytest.mark.browser

Driver = Any
FEW = ("index.html", "audit.html", "layers/leaky_relu.html", "layers/sparsemax.html")
WIDE, NARROW = (1280, 900), (360, 740)  # px
AXE = Path(ROOT) / "node_modules" / "axe-core" / "axe.min.js"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(read_constants(Path(ROOT) / "results" / CONSTANTS))


@pytest.fixture(scope="module")
def folder(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "_STDS", (0.1, 1.0, 10.0))
        files = build(document)
    assert files
    found = tmp_path_factory.mktemp("www") / "sub" / "path"
    write_folder(found, files)
    return found


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[str]:
    """The site below a path of a server of this machine."""
    handler = partial(Quiet, directory=str(folder.parents[1]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/sub/path/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Driver]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = [path for name in names if (path := shutil.which(name))]
    driver = shutil.which("chromedriver")
    if not found or not driver:
        pytest.skip("Chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as opened:
        opened.set_script_timeout(120)
        yield opened


Open = Callable[..., Driver]


@pytest.fixture(params=["file", "http"])
def page(request: pytest.FixtureRequest, browser: Driver, folder: Path, served: str) -> Open:
    """Open a page of the site, from a folder or from a server, as a new visitor."""
    base = f"{folder.as_uri()}/" if request.param == "file" else served
    return opener(browser, base)


@pytest.fixture
def at_server(browser: Driver, served: str) -> Open:
    return opener(browser, served)


def opener(browser: Driver, base: str) -> Open:
    def opened(path: str, size: tuple[int, int] = WIDE, scheme: str = "light") -> Driver:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
        browser.get(base + path)
        return browser

    browser.get(f"{base}index.html")
    browser.execute_script("localStorage.clear()")
    for kind in ("performance", "browser"):  # of what was before
        browser.get_log(kind)
    return opened


def find(browser: Driver, css: str) -> list[Any]:
    return list(browser.find_elements("css selector", css))


def shown(browser: Driver, table: str) -> list[str]:
    """Return the first cells of the rows of a table that are to be seen."""
    return list(
        browser.execute_script(
            f"return [...document.querySelectorAll('#{table} tbody tr')]"
            ".filter(r => r.offsetParent).map(r => r.cells[0].textContent)"
        )
    )


def type_in(browser: Driver, text: str) -> str:
    """Search for a text, and return what is said of the rows found."""
    (field,) = find(browser, "input[type=search]")
    field.clear()
    field.send_keys(text)
    return str(find(browser, ".found")[0].text)


def wait_for(condition: Callable[[], Any]) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(None, 5, 0.02).until(lambda _: condition())


# --- everywhere -----------------------------------------------------------------------------------


def test_no_page_asks_for_anything_elsewhere_or_complains(
    page: Open, folder: Path, document: dict[str, Any]
) -> None:
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html"))
    assert len(names) > 100
    for name in names:
        browser = page(name, NARROW)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= NARROW[0], name  # only tables scroll, by themselves
        base = browser.current_url.removesuffix(name)
        for message in browser.get_log("performance"):
            event = json.loads(message["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                asked = event["params"]["request"]["url"]
                assert asked.startswith(base), (name, asked)
        assert not browser.get_log("browser"), name


def test_every_link_within_the_site_leads_to_its_place(at_server: Open, folder: Path) -> None:
    ids: dict[str, set[str]] = {}
    links: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        browser = at_server(name)
        base = browser.current_url.removesuffix(name)
        found = browser.execute_script(
            "return [[...document.links].map(a => a.href), "
            "[...document.querySelectorAll('[id]')].map(e => e.id)]"
        )
        links += [(name, h.removeprefix(base)) for h in found[0] if h.startswith(base)]
        ids[name] = set(found[1])
    assert len(links) > 800
    for name, target in links:
        there, fragment = urldefrag(target)
        there = there.partition("?")[0]
        assert there in ids, (name, target)
        assert not fragment or unquote(fragment) in ids[there], (name, target)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_everyone_can_use_the_pages(
    at_server: Open, name: str, scheme: str, size: tuple[int, int]
) -> None:
    """Contrast, names of controls, headings, landmarks and the like, by axe-core."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed")
    browser = at_server(name, size, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    browser.execute_script(AXE.read_text("utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 20
    problems = [(v["id"], v["nodes"][0]["html"][:120]) for v in found["violations"]]
    assert not problems


@pytest.mark.parametrize("name", FEW)
def test_controls_and_pictures_have_names(at_server: Open, name: str) -> None:
    """By what the browser tells a screen reader."""
    browser = at_server(name, NARROW)
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    kinds = ("button", "link", "searchbox", "image", "img", "region", "columnheader", "navigation")
    nodes = [n for n in tree if n["role"]["value"] in kinds and not n["ignored"]]
    assert len(nodes) > 15
    assert not [n for n in nodes if not n.get("name", {}).get("value", "").strip()]
    roles = {n["role"]["value"] for n in tree}
    assert {"table", "row", "columnheader", "rowheader", "cell", "status"} <= roles


def test_what_is_reached_by_keys_is_seen(at_server: Open) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = at_server("layers/leaky_relu.html")
    reached = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.switch_to.active_element
        reached.append(element.text or element.tag_name)
        assert element.rect["x"] >= 0, reached  # the skip link, too, comes into view
        assert element.value_of_css_property("outline-style") != "none", reached
    assert reached[0] == "Skip to content"
    assert {"Layers", "Audit", "Theme: auto"} <= set(reached)


# --- searching ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("LeakyReLU", "leaky_relu:negative_slope=0.2", "relu"),
        ("tf.keras", "", ""),
        ("dense keras", "linear", "relu"),
        ("relu keras", "leaky_relu", "relu"),
        ("  negative_slope=0.2 ", "leaky_relu:negative_slope=0.2", "sigmoid"),
        ("1 + e^-x", "sigmoid", "relu"),
    ],
)
def test_a_search_shows_what_has_all_its_words(
    page: Open, document: dict[str, Any], text: str, wanted: str, unwanted: str
) -> None:
    browser = page("index.html")
    every = shown(browser, "layers")
    assert sorted(every) == sorted(row["layer"] for row in document["results"])
    said = type_in(browser, text)
    found = shown(browser, "layers")
    assert said == f"{len(found)} of {len(every)} rows"
    if wanted:
        assert wanted in found
        assert unwanted not in found
    else:
        assert not found
    type_in(browser, " ")
    assert len(shown(browser, "layers")) == len(every)


def test_a_search_is_also_an_address(page: Open, document: dict[str, Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = page("index.html")
    (link,) = (a for a in find(browser, ".counts a") if "noise" in a.text)
    link.click()
    noise = [a for a in audited(document) if a.grade == "last digits are noise"]
    assert shown(browser, "claims") == [a.layer for a in noise]
    assert find(browser, "input")[0].get_property("value") == "last digits are noise"
    find(browser, "input")[0].clear()
    find(browser, "input")[0].send_keys("nfnets relu", Keys.ENTER)
    wait_for(lambda: browser.current_url.endswith("audit.html?q=nfnets+relu"))
    assert set(shown(browser, "claims")) >= {"relu"}
    assert len(shown(browser, "claims")) < len(noise)


# --- sorting --------------------------------------------------------------------------------------

GRADES = (
    *("wrong", "wrong quantity", "last digits are noise", "cut off"),
    *("not a moment", "undecided", "reproduced"),
)
KEYS: dict[str, Callable[[Audited], Any]] = {
    "printed": lambda a: a.claim.printed.value,
    "true value": lambda a: a.exact["value"] if a.exact else a.drawn.get("value", math.nan),
    "off by": lambda a: abs(a.error) if a.off else math.nan,
    "verdict": lambda a: GRADES.index(a.grade),
}


@pytest.mark.parametrize("heading", [*KEYS, "layer", "quantity", "source"])
def test_the_audit_is_sorted_by_any_column_with_the_keyboard(
    page: Open, document: dict[str, Any], heading: str
) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = page("audit.html")
    headings = {th.text.strip(): th for th in find(browser, "#claims thead th")}
    assert len(headings) == 7
    (button,) = headings[heading].find_elements("css selector", "button")
    column, ends = [*headings].index(heading), []
    for order in ("ascending", "descending"):
        button.send_keys(Keys.ENTER)
        sorts = [th.get_attribute("aria-sort") for th in headings.values()]
        assert [s for s in sorts if s] == [order]
        assert sorts[column] == order
        assert find(browser, "#said")[0].text == f"sorted by {heading}, {order}"
        cells = browser.execute_script(
            "return [...document.querySelectorAll('#claims tbody tr')].map(r => ["
            f"r.cells[{column}].textContent.trim(), ...[0, 1, 2].map(i => r.cells[i].textContent), "
            "r.querySelector('.source a').textContent])"
        )
        claims = audited(document)
        assert len(cells) == len(claims)
        if heading not in KEYS:
            first = [cell.split()[0] for cell, *_ in cells]
            runs = 1 + sum(a != b for a, b in pairwise(first))
            assert runs == len(set(first)) > 3  # equal ones stand together
            ends.append((first[0], first[-1]))
            continue
        key = {
            (a.layer, a.quantity, a.claim.printed.claimed, a.claim.set): KEYS[heading](a)
            for a in claims
        }
        assert len(key) == len(claims)
        values = [key[tuple(about)] for _, *about in cells]
        known = [v for v in values if not math.isnan(v)]
        assert known == sorted(known, reverse=order == "descending")
        assert all(math.isnan(v) for v in values[len(known) :])  # what is empty stands last
    assert not ends or ends[0] == ends[1][::-1]


# --- copying --------------------------------------------------------------------------------------


def test_a_button_copies_every_digit(at_server: Open) -> None:
    browser = at_server("layers/tanhshrink.html")
    rights = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": rights})
    for what in ("σ[dx] of tanhshrink", "1/rms[y] of tanhshrink", "the command"):
        button = find(browser, f"button.copy[aria-label='copy {what}']")[0]
        shown = button.find_element("xpath", "preceding-sibling::code[1]").text
        button.click()
        assert wait_for(lambda b=button: b.text == "copied")
        copied = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
        assert copied == shown.replace("−", "-")
        assert find(browser, "#said")[0].text == f"{what}: copied"
        assert wait_for(lambda b=button: b.text == "copy")
    assert copied == "bnstats exact tanhshrink"


def test_without_a_clipboard_the_number_is_selected(page: Open) -> None:
    browser = page("layers/relu.html")
    browser.execute_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})"
    )
    (button,) = find(browser, "button.copy[aria-label='copy σ[dx] of relu']")
    button.click()
    assert wait_for(lambda: button.text == "selected")
    selected = browser.execute_script("return getSelection().toString()")
    assert abs(float(selected) - math.sqrt(0.5)) < 1e-14


# --- light and dark -------------------------------------------------------------------------------


def test_the_colours_follow_the_system_until_someone_chooses(page: Open) -> None:
    def dark() -> bool:
        colour = find(browser, "body")[0].value_of_css_property("background-color")
        red = int(colour.partition("(")[2].partition(",")[0])
        return red < 100

    for scheme in ("light", "dark"):
        browser = page("index.html", scheme=scheme)
        assert dark() is (scheme == "dark")
    seen = []
    for _ in range(3):
        (button,) = find(browser, "#theme")
        button.click()
        seen.append((button.text, dark()))
    assert seen == [("Theme: light", False), ("Theme: dark", True), ("Theme: auto", True)]
    button.click()
    browser = page("layers/relu.html", scheme="dark")
    assert (find(browser, "#theme")[0].text, dark()) == ("Theme: light", False)


def test_without_scripts_everything_is_there_and_no_button_is_dead(
    browser: Driver, at_server: Open, document: dict[str, Any]
) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        at_server("audit.html")
        assert not [b for b in find(browser, "button, input") if b.is_displayed()]
        assert len(find(browser, "#claims tbody tr")) == len(audited(document))
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
