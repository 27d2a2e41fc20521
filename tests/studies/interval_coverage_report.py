"""Verdict and tables of coverage.md and coverage.csv, from the record in coverage.json alone."""

from __future__ import annotations

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
from report_text import as_csv, wrapped

from bnstats.notation import plural
from bnstats.sampling.sobol import MIN_LEVEL, REPLICATES
from bnstats.statistics.quantities import QUANTITIES

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def size(sampler: str, n: int) -> str:
    """Return n = 2¹², or of sobol 32·2¹²."""
    level = str((n // (REPLICATES if sampler == "sobol" else 1)).bit_length() - 1)
    return f"{f'{REPLICATES}·' if sampler == 'sobol' else ''}2{level.translate(SUPERSCRIPTS)}"


def verdict(record: Record, cells: list[Cell]) -> str:
    """Return the first lines of the page."""
    rates = [rate for cell in cells if cell.judged for rate in cell.rates]
    low, high = (sum(r.outside == side for r in rates) for side in ("too low", "too high"))
    less = sum(rate.beyond and not rate.outside for rate in rates)
    layers = len({row["layer"] for row in record["rows"]})
    trusted = [c for c in cells if c.judged and not c.count["apart"]]
    pooled = [summed(group) for group in zip(*(c.rates for c in trusted), strict=True)]
    missed = "; ".join(f"{rate.misses:.3g} % at {100 * rate.confidence:g} %" for rate in pooled)
    return (
        f"**Of {len(rates):,} rates of {plural(layers, 'layer')} {low} show too low and {high} too "
        f"high a coverage**, beyond a bar by more than two standard errors; {less} more lie beyond "
        "a bar by less. Of the layers whose estimates are all reliable, intervals miss the exact "
        f"value in {missed or 'no case'}: {pooled[0].of if pooled else 0:,} intervals of each."
    )


def beyond(cells: list[Cell]) -> list[str]:
    """Return every rate that is beyond a bar by more than two standard errors."""

    def kind(found: tuple[Cell, Rate]) -> tuple[str, int, str, float]:
        cell, rate = found
        return cell.sampler, cell.n, cell.symbol, rate.confidence

    rates = [(cell, rate) for cell in cells if cell.judged for rate in cell.rates]
    lines = []
    for side in ("too low", "too high"):
        found = [one for one in rates if one[1].outside == side]
        if found:
            lines += [f"{side.capitalize()}, with the misses in %:", ""]
        for (sampler, n, symbol, confidence), group in groupby(sorted(found, key=kind), kind):
            named = ", ".join(f"`{cell.layer}` {rate.misses:.3g}" for cell, rate in group)
            lines.append(
                f"- {sampler}, {size(sampler, n)}, {symbol}, {100 * confidence:g} %: {named}"
            )
        lines += [""] if found else []
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


def by_layer(record: Record) -> str:
    """Return a row for every layer, sampler, size and quantity, as CSV; shares, not per cent."""
    seeds = {(row["layer"], row["sampler"]): row["seed"] for row in record["rows"]}
    misses = [text for c in BARS for text in (f"misses_{c:g}", f"misses_{c:g}_stderr")]
    header = ("layer", "sampler", "seed", "draws", "quantity", "replications", "unreliable")
    return as_csv(
        (*header, *misses, "phi_deviation", "phi_p"),
        (
            (
                *(c.layer, c.sampler, seeds[c.layer, c.sampler], c.n, c.quantity, c.total),
                c.count["apart"],
                *(measured(c) if c.judged else [""] * (len(misses) + 2)),
            )
            for c in cells_of(record["rows"])
        ),
    )


def measured(cell: Cell) -> list[str]:
    """Return the rates of a cell with their errors, and what z tells, to three digits."""
    found = [share / 100 for rate in cell.rates for share in (rate.misses, rate.error)]
    pit = [cell.pit.deviation / 100, cell.pit.p] if cell.pit.valid else []
    return [*(f"{number:.3g}" for number in (*found, *pit)), *([] if pit else ["", ""])]


def apart_table(cells: list[Cell]) -> list[str]:
    every = [cell for cell in cells if cell.count["apart"]]
    found = [cell for cell in every if cell.count["apart"] > FEW_APART * cell.total]
    lines = [f"Of {len(cells):,} quantities at one size, {len(every)} have such estimates"]
    if not found:
        return [f"{lines[0]}, none of them more than {FEW_APART:.0%}."]
    heads = " | ".join(f"of them missing at {nominal}" for nominal in NOMINAL)
    lines[0] += f"; those with more than {FEW_APART:.0%}:"
    lines += [
        "",
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


def costs(record: Record) -> str:
    """Say what the study took, and which sizes it left out for what they would have taken."""
    rows = record["rows"]
    cpu, wall = (sum(row[key] for row in rows) for key in ("cpu_seconds", "wall_seconds"))
    text = (
        f"{cpu:,.0f} CPU seconds of {record['workers']} workers in {wall / 60:.1f} minutes; "
        f"one-minute load before: {record['load_before']}."
    )
    refused = {row["refused"]: row["layer"] for row in rows if row["refused"]}
    if refused:
        named = "; ".join(f"`{layer}`, {why}" for why, layer in refused.items())
        text += f" Not drawn: {named}."
    left = {n for row in rows for n in row["left_out"]}
    for n in sorted(left, key=int):
        own = [row for row in rows if n in row["left_out"]]
        sampler = own[0]["sampler"]
        seconds = sorted(row["left_out"][n] for row in own)
        text += (
            f" {sampler}, {size(sampler, int(n))}: left out of {len(own)} layers, which would "
            f"take {seconds[0]:,.0f} to {seconds[-1]:,.0f} CPU seconds each."
        )
    return text


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


FEW_APART = 0.01  # of a quantity's estimates
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
    lines = [
        "# Coverage of the intervals, and the uniformity of z",
        "",
        *(["**Made with --quick: a test of the command, no measurement.**", ""] * record["quick"]),
        wrapped(verdict(record, cells)),
        "",
        "## Beyond a bar",
        "",
        *beyond(cells),
        *gaps(record, cells),
        "Every layer, size and quantity is a row of [coverage.csv](coverage.csv).",
        "",
        "## What is measured",
        "",
        *INTRODUCTION.splitlines(),
        "",
        "## All layers together",
        "",
        *TOGETHER.splitlines(),
        "",
        *pooled_table(cells),
        "",
        "## Counted apart: unreliable",
        "",
        *apart_table(cells),
        "",
        "## What it took",
        "",
        f"{m['processor']}; {m['processors']} processors, shared; {libraries}.",
        wrapped(costs(record)),
        "",
        "Written by `python tests/studies/interval_coverage.py`.",
    ]
    return "\n".join(lines) + "\n"
