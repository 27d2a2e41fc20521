"""The gate of `bnstats verify`, measured: its false alarms, and the errors it catches.

    python tests/studies/gate.py [--seed 1] [--runs 300] [--workers 1] [--max-time 3500]
                                    [--out results] [--quick]

Five parts (gate_rates.py, gate_planted.py): normal z through the gate's rule; the real engine's z
at few draws; whole verify runs of distinct seeds at a tenth of the default draws; the power curve;
and errors of 1 % planted in every row of the table at the default draws.

Writes gate.json and, from it alone, gate.md, gate.csv and gate.svg (gate_report.py; the plot needs
matplotlib) after every unit of work; rerun, it takes up where it stopped. The same seed gives the
same files. --render draws nothing, and only writes the three anew.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import gate_planted as planted
import gate_rates as rates
from gate_report import markdown, plot, table_csv
from replication import MEASURED

from bnstats.api import compute
from bnstats.runs.drawing import default_samples
from bnstats.specs.spec import parse
from bnstats.statistics.quantities import QUANTITIES
from bnstats.verification.gate import FreshDraws, VerifySettings

SHARE = 10  # a verify run's draws are the default's by this
FACTOR = 1.01
CURVES = (  # one or two of each family
    *("sigmoid", "relu", "leaky_relu:negative_slope=0.2", "exponential"),
    *("avg_pool2d:kernel_size=2", "max_pool2d:kernel_size=3", "dropout", "linear"),
)
RARE = ("dropout:p=0.9", "dropout:p=0.99")  # not in the table
QUICK_ROWS = ("relu", "dropout", "max_pool1d:kernel_size=2", "exponential")

Unit = dict[str, Any]
Mapper = Callable[[Callable[[str], Unit], Iterable[str]], Iterable[Unit]]


@lru_cache(maxsize=1)
def rows(directory: Path, quick: bool) -> dict[str, planted.Row]:
    path = directory / "constants.json"
    committed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"results": []}
    found = planted.rows(committed)
    return {text: found[text] for text in (QUICK_ROWS if quick else found)}


class Study:
    """The parts, each a function of a unit's key, and how much of each is wanted."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.seed, self.quick, self.out = options.seed, options.quick, options.constants
        self.rows = len(rows(self.out, self.quick))
        decisions = 10**5 if self.quick else 1_200_000
        self.replications = math.ceil(decisions / self.rows / len(MEASURED) / 4) * 4
        runs = [str(self.seed + 2 * i) for i in range(3 if self.quick else options.runs)]
        texts = list(rows(self.out, self.quick))
        curves = [c for c in CURVES if not self.quick or c in QUICK_ROWS]
        self.keys: dict[str, list[str]] = {
            "normal": [str(i) for i in range(1 if self.quick else 20)],
            "power": curves,
            "planted": [*texts, *([] if self.quick else RARE)],
            "runs": runs,
            "engine": texts,
        }

    def normal(self, key: str) -> Unit:
        return rates.simulated(1000 * self.seed + int(key), 3 * 10**5 if self.quick else 5 * 10**6)

    def power(self, key: str) -> Unit:
        known = rates.bound(parse(key).text)[1]
        names = [n for n in ("std_y", "std_dx") if n in known]
        pairs = 50 if self.quick else 500
        found = {n: rates.power_curve(key, n, self.seed, pairs, self.rows) for n in names}
        return {"draws": rates.SMALL, **found}

    def engine(self, key: str) -> Unit:
        return rates.engine(key, self.seed, self.replications, self.rows)

    def runs(self, key: str) -> Unit:
        """Verify every row; the second stage's seed is the next, so seeds go up by two."""
        outcomes: dict[str, int] = {"ok": 0, "fail": 0, "undecided": 0}
        alarms, named = 0, []
        for text, row in rows(self.out, self.quick).items():
            samples = max(default_samples(parse(text).bound) // SHARE, 100)
            settings = VerifySettings(samples, int(key))
            for check in planted.check(row, settings, self.rows):
                outcomes[check.outcome] += 1
                alarms += check.command.endswith(f"--seed {int(key) + 1}")
                if check.outcome != "ok":
                    named.append([text, check.quantity, check.outcome])
        return {**outcomes, "alarms": alarms, "not_ok": named}

    def planted(self, key: str) -> Unit:
        """Plant the errors, and note what one of a miss rate of 0.001 would be."""
        spec = parse(key)
        row = rows(self.out, self.quick).get(key) or planted.known_row(spec)
        settings = VerifySettings(seed=self.seed)
        default = default_samples(spec.bound)
        samples, factor = default, FACTOR
        if self.quick:  # the same power by theory: a tenth of the width at a hundredth of the draws
            samples, factor = default // 100, FACTOR**10
            settings = VerifySettings(samples, self.seed)
        else:
            samples = FreshDraws(spec, settings, rates.number_of_tests(self.rows)).samples
        found = planted.caught(key, row, settings, self.rows, factor)
        pilot = compute(spec, samples=max(default // 10, 100), seed=self.seed)
        errors = {}
        for name in planted.EXACT:
            e = pilot.quantities[name]
            if e.exact is not None and abs(e.exact.value) > e.exact.error and e.stderr:
                spread = e.exact.asymptotic_std or e.stderr * math.sqrt(pilot.samples)
                errors[name] = spread / math.sqrt(samples) / abs(e.exact.value)
        return {"default": default, "samples": samples, "relative_stderr": errors, "caught": found}


def call(study: Study, part: str, key: str) -> Unit:
    return getattr(study, part)(key)


def run(study: Study, options: argparse.Namespace, mapper: Mapper) -> None:
    """Do every unit that the record lacks, until the time is over."""
    begin = time.monotonic()
    path = options.out / "gate.json"
    fixed = {"seed": study.seed, "quick": study.quick, "rows": study.rows}
    fixed["quantities"] = len(QUANTITIES)
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if {k: record.get(k) for k in fixed} != fixed:
        record = {**fixed, "parts": {}}
    for part, keys in study.keys.items():
        done = record["parts"].setdefault(part, {})
        missing = [key for key in keys if key not in done]
        saved = time.monotonic()
        for key, unit in zip(missing, mapper(partial(call, study, part), missing), strict=True):
            done[key] = unit
            if time.monotonic() - saved > 10:
                save(record, study, options.out)
                saved = time.monotonic()
            if time.monotonic() - begin > options.max_time:
                save(record, study, options.out)
                return
        save(record, study, options.out)
        print(f"{part}: {len(done)} of {len(keys)} units", flush=True)


def save(record: dict[str, Any], study: Study, out: Path) -> None:
    """Write the record, one unit a line and in the order of the keys, and what is made of it."""
    parts = []
    for part, keys in study.keys.items():
        done = record["parts"].get(part, {})
        lines = [f"{json.dumps(k)}: {json.dumps(done[k])}" for k in keys if k in done]
        parts.append(f'"{part}": {{\n' + ",\n".join(lines) + "\n}")
    head = json.dumps({k: v for k, v in record.items() if k != "parts"})[:-1]
    text = f'{head}, "parts": {{\n' + ",\n".join(parts) + "\n}}\n"
    (out / "gate.json").write_text(text, encoding="utf-8")
    render(out)


def render(out: Path) -> None:
    """Write what is made of the record."""
    record = json.loads((out / "gate.json").read_text(encoding="utf-8"))
    (out / "gate.md").write_text(markdown(record), encoding="utf-8")
    (out / "gate.csv").write_text(table_csv(record), encoding="utf-8")
    plot(record, out / "gate.svg")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=300, help="verify runs")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--max-time", type=float, default=3500, help="s; then no further unit")
    parser.add_argument("--quick", action="store_true", help="little work, to test this command")
    parser.add_argument("--render", action="store_true", help="draw nothing")
    parser.add_argument("--constants", type=Path, default=Path("results"), help="their directory")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    if options.render:
        render(options.out)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    study = Study(options)
    if options.workers == 1:
        run(study, options, map)
    else:
        with Pool(options.workers) as pool:
            run(study, options, pool.imap)


if __name__ == "__main__":
    main()
