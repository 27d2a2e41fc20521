"""Networks that need not be drawn again, and networks drawn elsewhere: the same digits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoint_support import write_after_each_chunk
from cli_support import Cli

import bnstats
from bnstats.networks import reduce, running
from bnstats.networks.propagation import Propagation

STACKS: dict[str, dict[str, Any]] = {
    "exact": {"block": "linear relu", "width": 64, "depth": 6, "networks": 1500},
    "matrices": {"block": "linear elu", "width": 128, "depth": 6, "init": "torch", "networks": 600},
    "shapes": {"block": "conv2d:padding=1 relu", "input": "3x5x5", "networks": 23},
    "one input": {"block": "linear relu", "width": 64, "depth": 9, "batch": 1, "networks": 4000},
}


@pytest.fixture(autouse=True)
def at_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    write_after_each_chunk(monkeypatch)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of spans that are drawn, in this process."""
    spans: list[Any] = []
    real = running.span_tally

    def span_tally(task: Any, layout: Any, span: Any) -> Any:
        spans.append(span)
        return real(task, layout, span)

    monkeypatch.setattr(running, "span_tally", span_tally)
    return spans


def propagate(block: str, **how: Any) -> Propagation:
    return bnstats.propagate(block, **how)


def stopped_after(chunks: int, **how: Any) -> None:
    left = iter(range(chunks))
    assert propagate(should_stop=lambda: next(left, None) is None, **how).status == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("name", STACKS)
def test_a_run_goes_on_where_it_was(name: str, tmp_path: Path, drawn: list[Any]) -> None:
    how = STACKS[name]
    expected, spans = propagate(**how), len(drawn)
    assert spans > 5
    stopped_after(5, **how, checkpoint=tmp_path)
    drawn.clear()
    assert propagate(**how, checkpoint=tmp_path) == expected
    assert 0 < len(drawn) <= spans - 4  # the fifth question may come before the fifth chunk


def test_a_longer_run_takes_up_what_is_there_and_a_shorter_one_what_it_needs(
    tmp_path: Path, drawn: list[Any]
) -> None:
    how = {"block": "linear relu", "width": 64, "depth": 3, "checkpoint": tmp_path}
    short, long = ({**how, "networks": n} for n in (700, 3000))
    propagate(**short)
    first = len(drawn)
    found = propagate(**long)
    assert found == propagate(**{**long, "checkpoint": None})
    again = len(drawn)
    assert propagate(**short) == propagate(**{**short, "checkpoint": None})
    assert len(drawn) - again <= first + 1  # of those with a checkpoint, the last chunk at most
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_precision_is_judged_at_the_same_places(tmp_path: Path) -> None:
    how = {"block": "linear relu", "width": 128, "depth": 8, "precision": 0.02}
    expected = propagate(**how)
    assert expected.status == "complete"
    stopped_after(3, **how, checkpoint=tmp_path)
    assert propagate(**how, checkpoint=tmp_path) == expected
    tighter = {**how, "precision": 0.014}
    assert propagate(**tighter, checkpoint=tmp_path) == propagate(**tighter)


@pytest.mark.slow
def test_what_the_digits_depend_on_has_a_file_of_its_own(tmp_path: Path) -> None:
    how = {"block": "linear relu", "width": 16, "depth": 2, "networks": 50}
    for change in ({}, {"width": 17}, {"seed": 1}, {"batch": 1}, {"matrices": True}):
        asked = {**how, **change}
        assert propagate(**asked, checkpoint=tmp_path) == propagate(**asked), change
    assert len(list(tmp_path.iterdir())) == 0, "a last chunk that is not whole is not kept"
    for change in ({}, {"width": 17}, {"seed": 1}, {"batch": 1}, {"matrices": True}):
        asked = {**how, **change, "networks": 5000}
        assert propagate(**asked, checkpoint=tmp_path) == propagate(**asked), change
    assert len(list(tmp_path.iterdir())) == 5


def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path) -> None:
    how = {"block": "linear relu", "width": 64, "depth": 3, "networks": 1000}
    expected = propagate(**how, checkpoint=tmp_path)
    (path,) = tmp_path.iterdir()
    document = json.loads(path.read_text())
    document["runs"][0]["subtrees"][0]["moments"]["y"]["ln"]["mean"][0] += 1e-9
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="is damaged: it is not as it was written: it is left"):
        assert propagate(**how, checkpoint=tmp_path) == expected
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_of_many_networks_those_for_quantiles_are_kept_and_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reduce, "KEPT_NUMBERS", 6 * 1000)
    how = {"block": "linear relu", "width": 64, "depth": 3, "networks": 5000}
    expected = propagate(**how, checkpoint=tmp_path)
    assert propagate(**how, checkpoint=tmp_path) == expected
    (path,) = tmp_path.iterdir()
    trees = json.loads(path.read_text())["runs"][0]["subtrees"]
    assert sum(len(tree["moments"]["y"]["kept"]) for tree in trees) == 1000


def test_models_go_on_too(tmp_path: Path, drawn: list[Any]) -> None:
    pytest.importorskip("torch")
    how = {"block": "models:Stacked", "input": 64, "networks": 9, "batch": 4}
    expected = propagate(**how)
    stopped_after(4, **how, checkpoint=tmp_path)
    drawn.clear()
    found = propagate(**how, checkpoint=tmp_path)
    assert found == expected
    assert 0 < len(drawn) <= 6
    drawn.clear()
    assert propagate(**how, checkpoint=tmp_path) == expected
    assert drawn == []


def test_a_model_whose_weights_are_the_same_is_found_after_a_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    how = {"block": "models:reseeds", "input": 4, "networks": 3, "checkpoint": tmp_path}
    left = iter(range(1))
    propagate(should_stop=lambda: next(left, None) is None, **how)
    with pytest.raises(bnstats.BnstatsError, match="does not draw its weights anew"):
        propagate(**how)


def test_the_command_keeps_and_takes_up(cli: Cli, tmp_path: Path) -> None:
    call = ("propagate", "linear", "relu", "--width", 64, "--depth", 2, "--networks", 1000)
    plain, once, again = (
        cli(*call, "--json", *more).out
        for more in ((), ("--checkpoint", tmp_path), ("--checkpoint", tmp_path))
    )
    results = [json.loads(text)["results"] for text in (plain, once, again)]
    assert results[0] == results[1] == results[2]
    sampled = ("sweep", "softmax", "--over", "n=3,5", "-n", 2_000_000, "--quantity", "chi")
    plain, kept = (cli(*sampled, "--json", *m).out for m in ((), ("--checkpoint", tmp_path)))
    assert json.loads(plain)["results"] == json.loads(kept)["results"]


# --- clusters -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("distributed")
    from cluster_support import Processes

    from bnstats.sampling import connection

    found = Processes(tmp_path_factory.mktemp("dask"), 2)
    found.await_workers(2)
    yield found.address
    connection.close()
    found.close()


@pytest.mark.parametrize("name", STACKS)
def test_workers_of_a_cluster_draw_the_same_digits(name: str, address: str) -> None:
    assert propagate(**STACKS[name], cluster=address) == propagate(**STACKS[name])


def test_workers_of_a_cluster_draw_models(address: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    block = "torch.nn:TransformerEncoderLayer:d_model=16,nhead=2,dim_feedforward=32"
    how: dict[str, Any] = {"block": block, "input": "5x16", "networks": 6, "batch": 4}
    assert propagate(**how, cluster=address, checkpoint=tmp_path) == propagate(**how)
    seen: list[int] = []  # a waiting client asks whether to stop, however often
    stopped = propagate(
        **how, cluster=address, on_progress=seen.append, should_stop=lambda: bool(seen)
    )
    assert stopped.status == "interrupted"


def test_what_no_worker_can_import_is_told(address: str) -> None:
    bnstats.register(_identity, name="own_identity")
    with pytest.raises(bnstats.BnstatsError, match=r"cannot draw: .*No module named 'test_kept'"):
        propagate("linear own_identity", width=16, depth=2, networks=50, cluster=address)


def _identity(x: Any) -> Any:
    return x


def test_a_failure_leaves_what_was_drawn(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    real, left = running.span_tally, iter(range(3))

    def span_tally(*given: Any) -> Any:
        if next(left, None) is None:
            raise bnstats.HostError("the scheduler is lost")
        return real(*given)

    monkeypatch.setattr(running, "span_tally", span_tally)
    how: dict[str, Any] = {"width": 64, "depth": 2, "networks": 2000}
    told: list[bnstats.BnstatsError] = []
    found = propagate("linear relu", **how, on_failure=told.append)
    assert (found.status, len(told)) == ("interrupted", 1)
    assert 0 < found.networks < 2000
    with pytest.raises(bnstats.HostError, match="is lost"):  # nothing is drawn any more
        propagate("linear relu", **how, on_failure=told.append)
    left = iter(range(3))
    outcome = cli("propagate", "linear", "relu", "--width", 64, "--depth", 2, "--networks", 2000)
    assert outcome.code == 4
    assert "1.relu" in outcome.out
    assert "error: the scheduler is lost" in outcome.err
