"""Text, table and plot of the gate's study, from the record in gate.json alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gate_planted import EXACT, PLANTED
from gate_rates import NORMAL, SHARE, false_alarm, number_of_tests, power
from report_text import as_csv, wrapped

from bnstats.statistics.alarm import (
    FAMILY_ERROR,
    FIRST_THRESHOLD,
    SECOND_STAGE_FACTOR,
    second_threshold,
)
from bnstats.statistics.quantities import QUANTITIES

Record = dict[str, Any]

POWER = 0.999
SHOWN = 10  # rows of the table, the worst; gate.csv has all


def total(units: Iterable[Record], key: str) -> Any:
    return sum(unit[key] for unit in units)


def markdown(record: Record) -> str:
    sections = {
        "theory": theory,
        "normal": normal,
        "engine": engine,
        "runs": runs,
        "planted": planted,
        "power": curves,
    }
    lines = ["# The gate of `bnstats verify`: false alarms and power", ""]
    if record["quick"]:
        lines += ["**Little work, done to test the command; not a measurement.**", ""]
    lines += [wrapped(verdict(record))]
    for part, section in sections.items():
        units = record["parts"].get(part, {})
        if units or part == "theory":
            lines += ["", *section(units, record)]
    return "\n".join(lines) + "\n"


def verdict(record: Record) -> str:
    """Return the first lines of the page."""
    parts = record["parts"]
    found, units = list(parts.get("runs", {}).values()), parts.get("planted", {})
    checked = sum(total(found, outcome) for outcome in ("ok", "fail", "undecided"))
    caught = [hit for unit in units.values() for hit in unit["caught"].values()]
    text = (
        f"**{total(found, 'fail')} false alarms in {checked:,} constants of {len(found)} runs; "
        f"{sum(caught)} of {len(caught)} planted errors of 1 % caught.**"
    )
    errors = sorted(largest for _, largest in smallest_errors(units, record))
    if errors:
        text += (
            f" At its default draws `bnstats verify` sees an error of E[y], σ[y] or σ[dx] with "
            f"probability {POWER} if it is {errors[len(errors) // 2]:.2g} % in the median layer, "
            f"{errors[-1]:.2g} % in the worst."
        )
    return f"{text} Seed {record['seed']}, {record['rows']} layers of the table."


def smallest_errors(units: Record, record: Record) -> list[tuple[str, float]]:
    """Return each layer and the largest of its smallest errors that are caught, in per cent."""
    shift = detectable(second_threshold(number_of_tests(record["rows"], record["quantities"])))
    return [
        (layer, 100 * math.expm1(shift * max(unit["relative_stderr"].values())))
        for layer, unit in units.items()
        if unit["relative_stderr"]
    ]


def table_csv(record: Record) -> str:
    """Return the smallest relative errors that are caught, of every layer."""
    shift = detectable(second_threshold(number_of_tests(record["rows"], record["quantities"])))
    return as_csv(
        ("layer", "draws", "default_draws", *EXACT),
        (
            (layer, unit["samples"], unit["default"], *(
                f"{math.expm1(shift * unit['relative_stderr'][name]):.2g}"
                if name in unit["relative_stderr"]
                else ""
                for name in EXACT
            ))
            for layer, unit in record["parts"].get("planted", {}).items()
        ),
    )  # fmt: skip


def theory(_: Record, record: Record) -> list[str]:
    tests = number_of_tests(record["rows"], record["quantities"])
    threshold = second_threshold(tests)
    alarm = 2 * NORMAL.cdf(-FIRST_THRESHOLD)
    one = false_alarm(threshold)
    return [
        "## The rule",
        "",
        f"A quantity raises an alarm at |z| > {FIRST_THRESHOLD:g}. It fails when an independent "
        f"sample of {SECOND_STAGE_FACTOR} times as many draws gives z the same sign and at least "
        "the second threshold, which is chosen such that both tail probabilities multiply to the "
        "family-wise error divided by the number of tests: whatever depends on what, the chance "
        "that any correct value of one call fails is at most the sum.",
        "",
        "| tests | alarm of one | second threshold | failure of one | of any, at most |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {what} | {alarm:.2e} | {second_threshold(n):.2f} "
            f"| {false_alarm(second_threshold(n)):.2e} "
            f"| {n * false_alarm(second_threshold(n)):.2e} |"
            for what, n in (
                ("one claim", 1),
                ("150", 150),
                (f"this table: 2 · {record['rows']} · {record['quantities']} = {tests:,}", tests),
            )
        ),
        "",
        f"Of a table half of the {FAMILY_ERROR:g} is spent on the committed estimates, which have "
        "no second stage. σ, Var, rms and gain of one direction are one test in different units, "
        f"so that the fresh draws of this table err in at most about "
        f"{4 * record['rows'] * one:.1e} of the calls.",
    ]


def normal(units: Record, _: Record) -> list[str]:
    every = list(units.values())
    decisions, alarms, fails = (total(every, k) for k in ("decisions", "alarms", "fails"))
    raised = 2 * NORMAL.cdf(-FIRST_THRESHOLD)
    expected = [decisions * raised, decisions * every[0]["rate"]]
    return [
        "## Normal z",
        "",
        f"{decisions:,} decisions of the rule on pairs of independent standard normal z, with the "
        f"second threshold lowered until it confirms {SHARE:.0%} of the alarms:",
        "",
        "| | seen | by theory |",
        "|---|--:|--:|",
        f"| alarms | {alarms:,} | {expected[0]:,.0f} ± {math.sqrt(expected[0]):.0f} |",
        f"| failures | {fails:,} | {expected[1]:,.0f} ± {math.sqrt(expected[1]):.0f} |",
    ]


def engine(units: Record, record: Record) -> list[str]:
    every = list(units.values())
    keys = ("decisions", "undecided", "alarms", "fails", "second", "beyond")
    decisions, undecided, alarms, fails, second, beyond = (total(every, k) for k in keys)
    judged = decisions - undecided
    raised = 2 * NORMAL.cdf(-FIRST_THRESHOLD)
    most = max(units, key=lambda k: units[k]["alarms"] / max(judged_of(units[k]), 1))
    threshold = second_threshold(number_of_tests(record["rows"], record["quantities"]))
    return [
        "## z of the real engine at few draws",
        "",
        "z is normal in the limit of many draws. Here every layer is drawn 4096 times only, most "
        "of them a thousandth of the default, and E[y], σ[y], E[dx], σ[dx] are judged against the "
        "exact values.",
        "",
        "| | decisions | beyond ±4 | of normal z |",
        "|---|--:|--:|--:|",
        f"| first stage, 4096 draws | {judged:,} | {alarms} | {judged * raised:.1f} |",
        f"| second stage, 16384 draws | {second:,} | {beyond} | {second * raised:.1f} |",
        "",
        f"**Failures: {fails}** at the second threshold of {threshold:.2f}, after {alarms} alarms "
        f"in {judged:,} decisions. {undecided:,} more are no decisions: n_eff < 100, and the gate "
        f"says undecided. Most alarms for its number: `{most}`, {units[most]['alarms']} in "
        f"{judged_of(units[most]):,}.",
    ]


def judged_of(unit: Record) -> int:
    return int(unit["decisions"] - unit["undecided"])


def runs(units: Record, _: Record) -> list[str]:
    every = list(units.values())
    ok, fail, undecided, alarms = (total(every, k) for k in ("ok", "fail", "undecided", "alarms"))
    seeds = sorted(map(int, units))
    lines = [
        "## Whole runs",
        "",
        f"**{len(every)} runs of verify: {fail} false alarms**, {undecided} undecided. Seeds "
        f"{seeds[0]} to {seeds[-1]}, every other one, each layer at a tenth of its default draws: "
        f"{ok + fail + undecided:,} constants checked, {alarms} sent to a second stage.",
    ]
    named = [(seed, *found) for seed, unit in units.items() for found in unit["not_ok"]]
    return lines + [f"- seed {s}: `{layer}` {q}: {o}" for s, layer, q, o in named]


def planted(units: Record, record: Record) -> list[str]:
    counts = {
        what: [u["caught"][what] for u in units.values() if what in u["caught"]] for what in PLANTED
    }
    missed = [(k, w) for k, u in units.items() for w, hit in u["caught"].items() if not hit]
    of = sum(map(len, counts.values()))
    threshold = second_threshold(number_of_tests(record["rows"], record["quantities"]))
    chances = {
        layer: 1 - power(math.log(1.01) / max(unit["relative_stderr"].values()), threshold)
        for layer, unit in units.items()
    }
    worst = max(chances, key=lambda layer: chances[layer])
    table = [
        chance for layer, chance in chances.items() if layer in record["parts"].get("engine", units)
    ]
    lines = [
        "## An error of 1 % in any formula or exact value",
        "",
        "y or dx times 1.01 in the layer's formula, or E[y], σ[y] or σ[dx] times 1.01 in its exact "
        "moments and in the table alike, so that nothing but fresh draws can tell; verify at its "
        f"default draws, seed {record['seed']}. **{of - len(missed)} of {of} were caught.**",
        "",
        "| error in | planted | caught |",
        "|---|--:|--:|",
        *(f"| {what} | {len(hits)} | {sum(hits)} |" for what, hits in counts.items()),
        *(f"- missed: `{layer}`, {what}" for layer, what in missed),
        "",
        "A formula that is wrong for the quadrature as well as for the draws is caught without "
        "sampling: its exact value is no longer the committed one.",
        "",
        f"### Smallest relative error caught with probability {POWER}",
        "",
        "By theory, at the draws that verify takes by default: the layer's own default, or up to "
        "ten times as many where 1 % would not be ten standard errors. An exact value wrong by 1 % "
        f"is missed with probability {max(table, default=0):.0e} or less in the table's rows, and "
        f"{chances[worst]:.0e} at worst (`{worst}`). Of the {len(units)} rows of "
        f"[gate.csv](gate.csv) the worst {min(SHOWN, len(units))}, among them layers that are not "
        "of the table and stand for rare events:",
        "",
        "| layer | draws | E[y] | σ[y] | σ[dx] |",
        "|---|--:|--:|--:|--:|",
    ]
    shift, worst_first = detectable(threshold), dict(smallest_errors(units, record))
    for layer in sorted(worst_first, key=lambda layer: -worst_first[layer])[:SHOWN]:
        unit = units[layer]
        errors = unit["relative_stderr"]
        cells = [
            f"{100 * math.expm1(shift * errors[name]):.2g} %" if name in errors else "is 0"
            for name in EXACT
        ]
        more = f" (default {unit['default']:,})" if unit["samples"] > unit["default"] else ""
        lines.append(f"| `{layer}` | {unit['samples']:,}{more} | {' | '.join(cells)} |")
    return lines


def detectable(threshold: float) -> float:
    """Return how many first-stage standard errors the gate catches with probability `POWER`."""
    low, high = 0.0, 100.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, threshold) < POWER else (low, middle)
    return high


def curves(units: Record, record: Record) -> list[str]:
    lines = [
        "## Power: measured against theory",
        "",
        "The exact value shifted by so many standard errors of the first stage, half of the times "
        "up and half down; first stages of 4096 draws, second ones of 16384, the engine's own. "
        "Measured on 500 pairs (binomial error up to 2.2 %), in brackets the relative error.",
        "",
    ]
    first = next(iter(units.values()))
    points = next(v for v in first.values() if isinstance(v, dict))["points"]
    shifts = [s for s, _ in zip((3, 4, 5, 6, 7, 8), points, strict=True)]
    lines += [
        f"| layer | | {' | '.join(f'{s} SE' for s in shifts)} |",
        "|---|---|" + "--:|" * len(shifts),
        "| theory | | " + " | ".join(f"{p['theory']:.1%}" for p in points) + " |",
    ]
    for layer, unit in units.items():
        for name, curve in unit.items():
            if isinstance(curve, dict):
                cells = (f"{p['caught']:.1%} ({p['error']:.1%})" for p in curve["points"])
                lines.append(f"| `{layer}` | {QUANTITIES[name].symbol} | {' | '.join(cells)} |")
    if "exponential" in units:
        lines += [
            "",
            "`exponential` at 4096 draws is what the default draws are for: its σ rests on a few "
            "extreme draws, n_eff is below 100 in most samples, and the gate then says undecided.",
        ]
    return [*lines, "", "![power of the gate](gate.svg)"]


def plot(record: Record, path: Path) -> None:
    """Draw the power curves, where matplotlib is installed."""
    units = record["parts"].get("power")
    try:
        import matplotlib
    except ImportError:
        return
    if not units:
        return
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "gate"
    figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
    threshold = second_threshold(number_of_tests(record["rows"], record["quantities"]))
    for i, (layer, unit) in enumerate(units.items()):
        curve = unit.get("std_dx")
        if curve is None:
            continue
        errors = [100 * p["error"] for p in curve["points"]]
        axes.plot(errors, [p["caught"] for p in curve["points"]], "o", color=f"C{i}", ms=4)
        grid = [s / 20 for s in range(181)]
        theory = [power(s, threshold) for s in grid]
        wide = [100 * math.expm1(s * curve["relative_stderr"]) for s in grid]
        axes.plot(wide, theory, color=f"C{i}", lw=1, label=layer)
    axes.set_xscale("log")
    axes.set_xlim(1, 100)
    axes.set_xlabel("relative error of the exact σ[dx], %  (first stage: 4096 draws)")
    axes.set_ylabel("probability of detection")
    axes.set_title("Power of the gate: measured (points) and theory (lines)", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
