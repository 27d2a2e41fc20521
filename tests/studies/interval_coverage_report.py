"""Tables and verdict of coverage.md, from the record in coverage.json alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from interval_coverage_rates import (
    BARS,
    BINS,
    LEAST_RELIABLE,
    Cell,
    Pit,
    Rate,
    Record,
    cells_of,
    place,
    summed,
)

from bnstats.sampling.sobol import MIN_LEVEL, REPLICATES
from bnstats.statistics.quantities import QUANTITIES

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def size(sampler: str, n: int) -> str:
    """Return n = 2¹², or of sobol 32·2¹²."""
    level = str((n // (REPLICATES if sampler == "sobol" else 1)).bit_length() - 1)
    return f"{f'{REPLICATES}·' if sampler == 'sobol' else ''}2{level.translate(SUPERSCRIPTS)}"


def verdict(cells: list[Cell]) -> list[str]:
    def kind(found: tuple[Cell, Rate]) -> tuple[str, int, str, float]:
        cell, rate = found
        return cell.sampler, cell.n, cell.symbol, rate.confidence

    rates = [(cell, rate) for cell in cells if cell.judged for rate in cell.rates]
    low, high = ([r for r in rates if r[1].outside == side] for side in ("too low", "too high"))
    less = sum(rate.beyond and not rate.outside for _, rate in rates)
    lines = [
        f"**Of {len(rates)} rates {len(low)} show too low and {len(high)} too high a coverage**, "
        f"beyond a bar by more than two standard errors; {less} more lie beyond a bar by less."
    ]
    for title, found in (("Too low", low), ("Too high", high)):
        if found:
            lines += ["", f"{title}, with the misses in %:", ""]
        for (sampler, n, symbol, confidence), group in groupby(sorted(found, key=kind), kind):
            named = ", ".join(f"`{cell.layer}` {rate.misses:.3g}" for cell, rate in group)
            lines.append(
                f"- {sampler}, {size(sampler, n)}, {symbol}, {100 * confidence:g} %: {named}"
            )
    return lines


def pooled_table(cells: list[Cell]) -> list[str]:
    heads = [f"misses at {nominal}" for nominal in NOMINAL]
    lines = [
        f"| sampler | n | quantity | layers | intervals | {' | '.join(heads)} "
        "| Φ(z): deviation (p) | layers with p < 1 % |",
        "|---|---|---|--:|--:|" + "---|" * len(BARS) + "---|--:|",
    ]
    for (sampler, n), group in groupby(cells, place):
        all_trusted = [c for c in group if c.count["trusted"] and not c.count["apart"]]
        for quantity in dict.fromkeys(c.quantity for c in all_trusted):
            chosen = [c for c in all_trusted if c.quantity == quantity]
            rates = [summed(rates) for rates in zip(*(c.rates for c in chosen), strict=True)]
            pit = Pit(tuple(map(sum, zip(*(c.pit.bins for c in chosen), strict=True))))
            valid = [c.pit for c in chosen if c.pit.valid]
            uneven = f"{sum(p.p < 0.01 for p in valid)} of {len(valid)}"
            lines.append(
                f"| {sampler} | {size(sampler, n)} | {chosen[0].symbol} | {len(chosen)} "
                f"| {rates[0].of:,} | {' | '.join(r.sides() for r in rates)} "
                f"| {pit if pit.valid else 'too few'} | {uneven} |"
            )
    return lines


def by_layer(
    cells: list[Cell],
    rows: list[Record],
    heads: Callable[[str], list[str]],
    shown: Callable[[Cell], list[str]],
) -> list[str]:
    """Return a table for each sampler and size: layers down, quantities across."""
    seeds = {(row["layer"], row["sampler"]): row["seed"] for row in rows}
    lines = []
    for (sampler, n), group in groupby(cells, place):
        here = list(group)
        quantities = {c.quantity: c.symbol for c in here}
        columns = [head for symbol in quantities.values() for head in heads(symbol)]
        lines += [
            "",
            f"### {sampler}, n = {size(sampler, n)}",
            "",
            f"| layer | replications | seed | {' | '.join(columns)} |",
            "|---|--:|--:|" + "---|" * len(columns),
        ]
        for layer, own in groupby(here, lambda c: c.layer):
            found = {c.quantity: c for c in own}
            total = next(iter(found.values())).total
            texts = [
                text
                for q, symbol in quantities.items()
                for text in (shown(found[q]) if q in found else ["no exact value"] * len(heads(q)))
            ]
            lines.append(
                f"| `{layer}` | {total:,} | {seeds[layer, sampler]} | {' | '.join(texts)} |"
            )
    return lines


def rate_texts(cell: Cell) -> list[str]:
    return list(map(str, cell.rates)) if cell.judged else ["unreliable"] * len(BARS)


def pit_texts(cell: Cell) -> list[str]:
    return [str(cell.pit) if cell.judged and cell.pit.valid else "too few"]


def apart_table(cells: list[Cell]) -> list[str]:
    found = [cell for cell in cells if cell.count["apart"]]
    if not found:
        return ["No estimate was marked unreliable."]
    heads = " | ".join(f"of them missing at {nominal}" for nominal in NOMINAL)
    lines = [
        f"| layer | sampler | n | quantity | mean n_eff | unreliable | {heads} |",
        "|---|---|---|---|--:|--:|" + "--:|" * len(BARS),
    ]
    for cell in found:
        count, n = cell.count, cell.total
        missing = [f"{100 * missed / count['apart']:.3g} %" for missed in count["apart_missed"]]
        lines.append(
            f"| `{cell.layer}` | {cell.sampler} | {size(cell.sampler, cell.n)} | {cell.symbol} "
            f"| {count['n_eff'] / n:.0f} | {count['apart']:,} of {n:,} | {' | '.join(missing)} |"
        )
    return lines


def cost_table(rows: list[Record]) -> list[str]:
    lines = [
        "| layer | sampler | CPU s | wall s | sizes left out: CPU s they would take |",
        "|---|---|--:|--:|---|",
    ]
    for row in rows:
        left = (
            f"{size(row['sampler'], int(n))}: {seconds:,.0f}"
            for n, seconds in row["left_out"].items()
        )
        lines.append(
            f"| `{row['layer']}` | {row['sampler']} | {row['cpu_seconds']:.1f} "
            f"| {row['wall_seconds']:.1f} | {row['refused'] or ', '.join(left)} |"
        )
    return lines


def gaps(record: Record, cells: list[Cell]) -> list[str]:
    """Return a line on everything that the tables cannot hold."""
    lines = []
    if record["not_reached"]:
        named = ", ".join(f"`{layer}`" for layer in record["not_reached"])
        lines.append(f"Not reached in the time given: {named}.")
    unknown = {row["layer"]: row["unknown"] for row in record["rows"] if row["unknown"]}
    if unknown:
        named = ", ".join(
            f"`{layer}` ({', '.join(QUANTITIES[q].symbol for q in names)})"
            for layer, names in unknown.items()
        )
        lines.append(f"Without an exact value, so not judged: {named}.")
    without = [c for c in cells if sum(c.count["bins"]) < c.count["trusted"]]
    if without:
        named = ", ".join(f"`{c.layer}` {c.sampler} {c.symbol}" for c in without)
        lines.append(f"Reliable estimates without z, missing from the histogram: {named}.")
    return [text for line in lines for text in (line, "")]


LEVEL = str(MIN_LEVEL).translate(SUPERSCRIPTS)
NOMINAL = [f"{100 * c:g} %" for c in BARS]
BAR_TEXT = "; ".join(
    f"{low:g} to {high:g} at {nominal}"
    for nominal, (low, high) in zip(NOMINAL, BARS.values(), strict=True)
)
INTRODUCTION = f"""\
How often the interval of a quantity misses the exact value, over independent replications of the
production engine. An iid replication of 2¹² draws is a chunk of its own stream; one of 2¹⁵ merges
eight of these, one of 2¹⁸ eight of 2¹⁵, and the smaller ones within a larger one count as well. A
sobol replication is a run of {REPLICATES} scrambles with a seed of its own; the seeds count up from
10⁶ times the one in the table. Production takes at least 2{LEVEL} points a scramble; there is
nothing below.

Nominal are {" and ".join(NOMINAL)}. The bars, in % of coverage: {BAR_TEXT}.
Behind ± stands the binomial standard error. A rate beyond a bar by more than two of these is bold.
A quantity that is the same in every draw, such as E[y] of a softmax, is left out.
Estimates that bnstats marks unreliable (n_eff < 100, or a standard error below 0.7 of theory's) are
counted apart; where more than {100 - 100 * LEAST_RELIABLE:g} % are, the others are too special a
selection to judge."""
TOGETHER = f"""\
Of the layers none of whose estimates is unreliable. In brackets the misses whose interval lies
below and above the exact value. Φ(z) of the z that bnstats prints, in {BINS} bins: the largest
deviation of a bin's share from {100 / BINS:g} %, in percentage points, and in brackets Pearson's p.
With so many replications p sees what is left to second order in 1/√n; the deviation tells its
size."""


def markdown(record: Record) -> str:
    m, rows = record["machine"], record["rows"]
    cells = cells_of(rows)
    libraries = ", ".join(f"{k} {v}" for k, v in m.items() if k not in ("processor", "processors"))
    cpu, wall = (sum(row[key] for row in rows) for key in ("cpu_seconds", "wall_seconds"))
    lines = [
        "# Coverage of the intervals, and the uniformity of z",
        "",
        *(["**Made with --quick: a test of the command, no measurement.**", ""] * record["quick"]),
        f"{m['processor']}; {m['processors']} processors, shared; {libraries}.",
        f"{cpu:,.0f} CPU seconds of {record['workers']} workers in {wall / 60:.1f} minutes; "
        f"one-minute load before: {record['load_before']}.",
        "",
        *INTRODUCTION.splitlines(),
        "",
        "## Verdict",
        "",
        *verdict(cells),
        "",
        *gaps(record, cells),
        "## All layers together",
        "",
        *TOGETHER.splitlines(),
        "",
        *pooled_table(cells),
        "",
        "## Misses in %",
        *by_layer(cells, rows, lambda s: [f"{s} {p}" for p in NOMINAL], rate_texts),
        "",
        "## Uniformity of Φ(z)",
        "",
        f"The largest deviation of a bin's share from {100 / BINS:g} %, in percentage points, and "
        "in brackets Pearson's p.",
        *by_layer(cells, rows, lambda s: [s], pit_texts),
        "",
        "## Counted apart: unreliable",
        "",
        *apart_table(cells),
        "",
        "## What it took",
        "",
        *cost_table(rows),
        "",
        "Written by `python tests/studies/interval_coverage.py`.",
    ]
    return "\n".join(lines) + "\n"
