"""Parts of a run: together they are the run, and what is missing or twice is named."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_support import Cli, read_document

from bnstats.errors import BnstatsError
from bnstats.sampling.checkpoints.document import read_moments
from bnstats.sampling.checkpoints.identity import check_identity
from bnstats.statistics.moments import Moments

LAYER = "max_pool2d:input_size=8,kernel_size=3,padding=1,stride=2"
RUNS = [
    (LAYER, "-n", "30013"),
    ("sigmoid", "gelu", "-n", "2e6", "--dtype", "float32", "--seed", "4"),
    ("sigmoid", "-n", "131072", "--sampler", "sobol"),
    ("relu", "-n", "4e6", "--sampler", "sobol", "--direction", "forward"),
    ("softmax:n=4", "-n", "4e5", "--x-mean", "1", "--dy-std", "3"),
    ("relu", "-n", "5"),
]


def parts(cli: Cli, folder: Path, run: tuple[str, ...], count: int, *more: str) -> list[Path]:
    paths = [folder / f"part{k}.json" for k in range(1, count + 1)]
    for k, path in enumerate(paths, start=1):
        found = cli("compute", *run, "--part", f"{k}/{count}", "--export", path, *more)
        assert (found.code, found.err) == (0, "")
        assert f"part {k}/{count}" in found.out
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("count", [1, 3, 5])
def test_parts_have_the_digits_of_the_whole(run: Any, count: int, cli: Cli, tmp_path: Path) -> None:
    whole = json.loads(cli("compute", *run, "--json").out)
    paths = parts(cli, tmp_path, run, count)
    found = cli("merge", *reversed(paths), "--json")
    assert found.code == 0
    merged = read_document(found.out)
    assert merged["results"] == whole["results"]
    assert merged["status"] == "complete"


def test_what_is_missing_is_named(cli: Cli, tmp_path: Path) -> None:
    paths = parts(cli, tmp_path, RUNS[0], 5)
    found = cli("merge", paths[0], paths[2], paths[3])
    assert found.code == 2
    assert "are missing: parts 2/5, 5/5" in found.err
    assert "--part 2/5" in found.err
    assert not found.out


def test_what_is_there_twice_is_told_and_counts_once(cli: Cli, tmp_path: Path) -> None:
    paths = parts(cli, tmp_path, RUNS[0], 3)
    once = json.loads(cli("merge", *paths, "--json").out)
    found = cli("merge", *paths, paths[1], "--json")
    assert "part 2/3 of max_pool2d" in found.err
    assert "is there twice" in found.err
    assert json.loads(found.out)["results"] == once["results"]


def test_parts_of_other_sizes_go_together_where_they_cover_all(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    halves = parts(cli, tmp_path, RUNS[0], 2)
    quarters = parts(cli, tmp_path / "a", RUNS[0], 4)
    whole = json.loads(cli("compute", *RUNS[0], "--json").out)
    found = cli("merge", halves[0], *quarters[1:], "--json")
    assert json.loads(found.out)["results"] == whole["results"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--seed", "1"), "are missing"),
        (("-n", "40013"), "of runs of 30,013 and 40,013 draws"),
    ],
)
def test_parts_of_other_runs_do_not_go_together(
    change: Any, said: str, cli: Cli, tmp_path: Path
) -> None:
    first = parts(cli, tmp_path, RUNS[0], 2)[0]
    (tmp_path / "b").mkdir()
    second = parts(cli, tmp_path / "b", (*RUNS[0], *change), 2)[1]
    found = cli("merge", first, second)
    assert found.code == 2
    assert said in found.err


def test_parts_of_another_bnstats_are_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = parts(cli, tmp_path, RUNS[0], 2)
    with monkeypatch.context() as other:
        other.setattr("bnstats.sampling.checkpoints.identity.drawing_code", lambda: "other")
        found = cli("merge", *paths)
        assert found.code == 2
        assert "drawn with another code of bnstats than is here" in found.err
        (tmp_path / "b").mkdir()
        third = parts(cli, tmp_path / "b", RUNS[0], 2)[1]
    found = cli("merge", paths[0], third)
    assert "by different versions of bnstats" in found.err


def test_of_several_differences_every_process_tells_the_same() -> None:
    names = [f"{letter}_of_a_run" for letter in "zyxwvutsrqponmlkjihgfedcba"]
    with pytest.raises(BnstatsError, match="another a_of_a_run than is here"):
        check_identity(dict.fromkeys(names, 1), dict.fromkeys(names, 2))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--part", "0/3", "--export", "a.json"), "not a part"),
        (("--part", "4/3", "--export", "a.json"), "not a part"),
        (("--part", "1/3"), "--export FILE.json"),
        (("--part", "1/3", "--export", "a.csv"), "--export FILE.json"),
        (("--part", "1/3", "--export", "a.json", "--json"), "--part goes with"),
        (("--part", "1/3", "--export", "a.json", "--get", "std_y.value"), "--part goes with"),
        (("--part", "1/3", "--export", "a.json", "--plot", "a.svg"), "--part does not go with"),
        (("--part", "1/3", "--export", "a.json", "--precision", "0.1"), "cannot judge"),
        (("--part", "1/3", "--export", "no/a.json"), "no such directory"),
    ],
)
def test_wrong_options_are_told(
    argv: Any, said: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = cli("compute", "relu", "-n", "1000", *argv)
    assert found.code == 2
    assert said in found.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "damaged, or no moments"),
        ("{}", "damaged, or no moments"),
        ('{"schema": "bnstats/1"}', "--part 1/8"),
        ('{"schema": "bnstats-moments/1", "runs": []}', "damaged"),
        (None, "no gone.json here"),
    ],
)
def test_files_that_are_no_moments(
    text: str | None, said: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("gone.json").write_text(text)
    found = cli("merge", "gone.json")
    assert found.code == 2
    assert said in found.err


def test_a_checkpoint_is_merged_as_parts_are(cli: Cli, tmp_path: Path) -> None:
    run = (LAYER, "-n", "32768")
    whole = json.loads(cli("compute", *run, "--checkpoint", tmp_path, "--json").out)
    (path,) = tmp_path.iterdir()
    (kept,) = read_moments(path)
    found = cli("merge", path, "--json")
    if sum(span.draws for span, _ in kept.subtrees) == 32768:
        assert json.loads(found.out)["results"] == whole["results"]
    else:
        assert "are missing" in found.err


def test_a_part_with_a_checkpoint_goes_on(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    plain = [p.read_bytes() for p in parts(cli, tmp_path, RUNS[0], 3)]
    for _ in range(2):
        kept = parts(cli, tmp_path, RUNS[0], 3, "--checkpoint", str(tmp_path / "kept"))
        assert [p.read_bytes() for p in kept] == plain
    assert len(list((tmp_path / "kept").iterdir())) == 2  # the third part has no whole leaf


def test_a_part_is_short_however_long_the_run(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    found = cli(
        "compute", "relu", "-n", "1e15", "--part", "3/64", "--export", path, "--max-time", "1s"
    )
    assert found.code == 3
    assert "are missing" in found.out
    assert path.stat().st_size < 20_000


def test_files_are_as_the_schema_says(cli: Cli, tmp_path: Path) -> None:
    schema = json.loads(
        resources.files("bnstats.sampling.checkpoints")
        .joinpath("moments.schema.json")
        .read_text("utf-8")
    )
    described = set(schema["$defs"]["moments"]["properties"])
    assert {field.name for field in fields(Moments)} == described
    validator = jsonschema.Draft202012Validator(schema)
    paths = parts(cli, tmp_path, RUNS[1], 2)
    cli("compute", *RUNS[0], "--checkpoint", tmp_path / "kept")
    for path in (*paths, *(tmp_path / "kept").iterdir()):
        validator.validate(json.loads(path.read_text()))
        assert max(map(len, path.read_text().splitlines())) < 3000
