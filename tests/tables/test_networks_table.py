"""The table of whole networks: its theory by other means, and what its check finds."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli

from bnstats.errors import BnstatsError
from bnstats.sampling.watch import Watch
from bnstats.tables.networks import build, check, page, plot
from bnstats.tables.networks.build import DEPTHS, Setting

RESULTS = Path(__file__).parents[2] / "results"
Document = dict[str, Any]
FEW = (
    Setting("dense", "relu", "forward"),
    Setting("dense", "tanh", "separate"),
    Setting("convolutional", "tanh", "separate"),
)


# --- theory of padded convolutions ----------------------------------------------------------------


@pytest.mark.slow
def test_drawn_convolutions_have_these_scales() -> None:
    for scale in ("forward", "backward"):
        setting = Setting("convolutional", "tanh", scale)
        rows = setting.entry(setting.run(3, 1))["rows"][:4]
        for row in rows:
            for side in (row["y"], row["dx"]):
                # finite width costs about 1/(2·144) a layer, far below five standard errors
                z = math.log(side["typical"] / side["wide"]) / side["relative"]
                assert abs(z) < 5, (row["depth"], z)


# --- which networks -------------------------------------------------------------------------------


def test_relu_has_one_scaling_and_the_others_three() -> None:
    scales = {a: [s.scale for s in build.settings() if s.activation == a] for a in ("relu", "silu")}
    assert scales["relu"] == 2 * ["none", "forward"]
    assert scales["silu"] == 2 * ["none", "forward", "backward", "separate"]


def test_rows_are_counted_from_the_input_forward_and_from_the_output_backward() -> None:
    setting = Setting("dense", "tanh", "none")
    run = setting.run(0, 1)
    rows = setting.entry(run)["rows"]
    named = {row.name: row for row in run.rows}
    assert [row["depth"] for row in rows] == list(DEPTHS)
    for row in rows:
        assert row["y"]["typical"] == named[f"{row['depth']}.tanh"].y.typical.value
        dx = named[f"{101 - row['depth']}.linear"].dx
        assert dx
        assert row["dx"]["typical"] == dx.typical.value


# --- the files ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (build, check):
            patch.setattr(module, "settings", lambda: iter(FEW))
        yield patch


@pytest.fixture(scope="module")
def tables(
    patched: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Document]:
    folder = tmp_path_factory.mktemp("networks")
    found = build.build(0)
    assert found
    return folder, json.loads(json.dumps(found))


def written(found: Document, folder: Path) -> Path:
    (folder / page.DATA).write_text(json.dumps(found), "utf-8")
    (folder / page.PAGE).write_text(page.render(found), "utf-8")
    (folder / page.PLOT).write_text(plot.digest(found), "utf-8")
    return folder


@pytest.mark.slow
def test_other_networks_of_the_same_law_pass(tables: tuple[Path, Document]) -> None:
    problems, drawn = check.check(written(tables[1], tables[0]), None)
    assert problems == []
    assert drawn == len(FEW) * len(DEPTHS) * 2


def side(found: Document, at: int, depth: int, way: str) -> Document:
    row = found["results"][at]["rows"][DEPTHS.index(depth)]
    chosen: Document = row[way]
    return chosen


@pytest.mark.slow
def test_check_names_every_number_that_is_wrong(tables: tuple[Path, Document]) -> None:
    changed = copy.deepcopy(tables[1])
    side(changed, 0, 1, "dx").update(wide=1.001)
    side(changed, 1, 5, "y").update(typical=1.03)
    side(changed, 2, 10, "dx").update(typical=2.0)
    changed["linear_share"][2]["points"][3]["exact"].update(value=0.5)
    assert check.check(written(changed, tables[0]), None)[0] == [
        "networks.json: dense relu forward: depth 1 σ[dx]: the exact value differs",
        "networks.json: dense tanh separate: depth 5 σ[y]: fresh networks disagree",
        "networks.json: convolutional tanh separate: depth 10 σ[dx]: fresh networks disagree",
        "networks.json: tanh: linear share differs",
    ]


@pytest.mark.slow
def test_check_names_networks_that_are_missing_or_not_asked_for(
    tables: tuple[Path, Document],
) -> None:
    changed = copy.deepcopy(tables[1])
    changed["results"][2] = changed["results"][0] | {"scale": "backward"}
    assert check.check(written(changed, tables[0]), None)[0] == [
        "networks.json: convolutional tanh separate: row is missing",
        "networks.json: dense relu backward: no such network now",
    ]


@pytest.mark.slow
def test_check_names_an_edited_page_and_an_old_picture(tables: tuple[Path, Document]) -> None:
    folder = written(tables[1], tables[0])
    text = (folder / page.PAGE).read_text("utf-8")
    (folder / page.PAGE).write_text(text.replace("| 0.703943 ", "| 0.703944 "), "utf-8")
    (folder / page.PLOT).write_text("<svg/>", "utf-8")
    problems, _ = check.check(folder, None, watch=Watch(should_stop=lambda: True))
    assert problems == [
        "networks.md: 2 0.733471: row differs",
        "networks.md: 2 0.733471: row differs",
        "networks.svg: does not show these numbers; bnstats table networks draws it anew",
    ]


def test_a_missing_and_a_foreign_file_are_told(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("table", "networks", "--check", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert re.match(r"error: no .*networks\.json here\nhint:  bnstats table networks", err)
    for text in ("[]", "{", '{"results": [], "linear_share": [], "provenance": {}}'):
        (tmp_path / page.DATA).write_text(text)
        code, out, err = cli("table", "networks", "--check", "--out", tmp_path)
        assert (code, out) == (2, "")
        assert "networks.json is not a table of networks\n" in err


@pytest.mark.parametrize("name", ["seed", "networks", "relative"])
def test_a_file_that_lacks_what_draws_are_compared_with_is_told(tmp_path: Path, name: str) -> None:
    text = (RESULTS / page.DATA).read_text("utf-8")
    path = tmp_path / page.DATA
    path.write_text(text)
    assert check.read(path) == json.loads(text)
    path.write_text(text.replace(f'"{name}": ', f'"no {name}": '))
    with pytest.raises(BnstatsError, match="is not a table of networks"):
        check.read(path)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_command_writes_the_same_bytes_and_checks_them(
    cli: Cli, patched: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [page.DATA, page.PAGE, page.PLOT]
    for workers in (1, 2):
        out = tmp_path / str(workers)
        code, said, err = cli("table", "networks", "--out", out, "--workers", workers)
        assert (code, err) == (0, "")
        assert said == "".join(f"wrote {out / name}\n" for name in names)
    one, two = ([(tmp_path / w / name).read_bytes() for name in names] for w in "12")
    assert one == two
    assert plot.digest(json.loads(one[0])).encode() in one[2]
    code, said, err = cli("table", "networks", "--check", "--out", out)
    assert (code, err) == (0, "")
    assert said == f"{len(FEW) * 2 * len(DEPTHS)} scales of networks checked, 0 rows differ\n"


def test_options_of_layers_are_refused(cli: Cli, tmp_path: Path) -> None:
    wanted = "error: --samples has no effect on the table of networks\n"
    assert cli("table", "networks", "--out", tmp_path, "-n", 5000) == (2, "", wanted)


def test_a_table_ends_in_time_and_leaves_no_files(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("table", "networks", "--out", tmp_path, "--max-time", "0.01")
    assert (code, out) == (3, "")
    assert err.endswith("the time was over: the tables are as they were\n")
    assert list(tmp_path.iterdir()) == []
