"""Tables and bars of benchmarks.md, from the record in benchmarks.json alone."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from report_text import wrapped

PRECISIONS = (1e-3, 1e-4, 1e-5, 1e-6)
NORMAL_95 = 1.959963984540054
MOST_WAITED = 20  # seconds; longer is marked as extrapolated
PLAIN, TORCH, KERNEL, COPIES = "plain script", "torch eager", "C kernel", "C kernel, two copies"
JAX = "jax jit"
SINGLE, DOUBLE = "bnstats {}, one worker", "bnstats {}, two workers"
ON_JAX = "bnstats {} on jax"
BACKWARD = "{}, dx alone"
SMOOTH = ("relu", "sigmoid", "tanh", "gelu")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Run = dict[str, Any]
Bar = tuple[str, str, bool]


def number(value: float) -> str:
    """Return three digits: 0.0123, 4.56, 789, 1.2·10⁵."""
    if value >= 99_999.5:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{digits}·10{str(int(power)).translate(SUPERSCRIPTS)}"
    if value >= 999.5:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".")


def spread(values: list[float], text: Callable[[float], str] = number) -> str:
    return f"{text(median(values))} ({text(min(values))}–{text(max(values))})"


def whole(runs: Run) -> list[float]:
    """Return ns per draw of each round, start-up included."""
    return [1e9 * run["seconds"] / runs["samples"][1] for run in runs["large"]]


def loop(runs: Run) -> list[float]:
    """Return ns per draw of each round, from the difference of two sizes."""
    small, large = runs["samples"]
    pairs = zip(runs["small"], runs["large"], strict=True)
    return [1e9 * (b["seconds"] - a["seconds"]) / (large - small) for a, b in pairs]


def seconds_to(runs: Run, relative: float, precision: float) -> list[float]:
    """Return each round's start-up + n·ns for the n whose relative half-width is ``precision``."""
    n = (NORMAL_95 * relative / precision) ** 2
    small = runs["samples"][0]
    pairs = zip(loop(runs), runs["small"], strict=True)
    return [max(run["seconds"] - 1e-9 * ns * small, 0) + 1e-9 * ns * n for ns, run in pairs]


def ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def throughput_table(found: dict[str, Run]) -> list[str]:
    plain = found[PLAIN]
    rows = []
    for name, runs in found.items():
        cores = [run["cpu_seconds"] / run["seconds"] for run in runs["large"]]
        faster = [ratios(ns(plain), ns(runs)) for ns in (whole, loop)]
        rows.append(
            f"| {name} | {number(runs['samples'][1])} | {spread(whole(runs))} "
            f"| {spread(loop(runs))} | {spread(faster[0])} | {spread(faster[1])} "
            f"| {median(cores):.2f} |"
        )
    head = (
        "| sigmoid | draws | ns per draw, whole process | ns per draw, loop "
        "| times plain, whole | times plain, loop | cores |"
    )
    return [head, "|---|--:|--:|--:|--:|--:|--:|", *rows]


def precision_table(found: dict[str, Run]) -> list[str]:
    def cell(values: list[float]) -> str:
        if median(values) <= 0:
            return "lost in noise"
        text = number(median(values))
        return f"*{text}*" if median(values) > MOST_WAITED else text

    rows = []
    for layer, row in found.items():
        for name, runs in row["iid"].items():
            cells = [cell(seconds_to(runs, row["spread"], r)) for r in PRECISIONS]
            rows.append(f"| {layer} | {name} | {' | '.join(cells)} |")
        cells = [sobol_cell(row["sobol"].get(f"{r:g}"), r) for r in PRECISIONS]
        rows.append(f"| {layer} | bnstats sobol | {' | '.join(cells)} |")
    heads = " | ".join(f"{r:.0e}".replace("e-0", "e-") for r in PRECISIONS)
    return [f"| layer | contender | {heads} |", "|---|---|--:|--:|--:|--:|", *rows]


def sobol_cell(runs: list[Run] | None, precision: float) -> str:
    if runs is None:
        return "not run"
    widest = max(run["reached"] for run in runs)
    missed = "" if widest <= precision else ", **missed**"
    return f"{number(median(r['seconds'] for r in runs))} (±{widest:.0e}{missed})"


def startup_table(found: dict[str, list[Run]]) -> list[str]:
    bare = median(run["seconds"] for run in next(iter(found.values())))
    rows = []
    for name, runs in found.items():
        ms = [1e3 * run["seconds"] for run in runs]
        rows.append(
            f"| `{name}` | {spread(ms, lambda v: f'{v:.0f}')} | {median(ms) - 1e3 * bare:.0f} |"
        )
    return ["| command | ms | above a bare interpreter |", "|---|--:|--:|", *rows]


def memory_table(found: list[Run]) -> list[str]:
    rows = [
        f"| `{r['spec']}` | {r['sampler']} | {r['dtype']} | {r['workers']} | {r['n']} "
        f"| {r['megabytes']:.0f} | {r['seconds']:.2f} |"
        for r in found
    ]
    head = "| layer | sampler | dtype | workers | n | peak MB | seconds |"
    return [head, "|---|---|---|--:|--:|--:|--:|", *rows]


def _short(name: str) -> str:
    return name.removeprefix("bnstats ")


def _faster(
    text: str, rival: Run, ours: Run, times: float, ns: Callable[[Run], list[float]]
) -> Bar:
    """Judge how many times as fast we are, by whole processes or by loops; show both."""
    value = ratios(ns(rival), ns(ours))
    other, label = (loop, "loops") if ns is whole else (whole, "whole processes")
    shown = f"{spread(value)}; {label} {spread(ratios(other(rival), other(ours)))}"
    return text, shown, median(value) >= times


def speed_bars(found: dict[str, Run]) -> list[Bar]:
    """Judge by medians; a bar without a word on it compares whole processes."""
    bars: list[Bar] = []
    engines = [(d, name.format(d)) for name in (SINGLE, ON_JAX) for d in ("float32", "float64")]
    engines = [(dtype, name) for dtype, name in engines if name in found]
    for dtype, name in engines:
        times = {"float32": 6.0, "float64": 3.5}[dtype]
        text = f"{_short(name)}: at least {times:g} times as fast as the plain script"
        bars.append(_faster(text, found[PLAIN], found[name], times, whole))
    double = SINGLE.format("float64")
    text = f"{_short(double)}: at least 2 times as fast as the plain script"
    bars.append(_faster(text, found[PLAIN], found[double], 2, whole))
    for rival in (TORCH, JAX):
        for dtype, name in engines if rival in found else ():
            if dtype == "float32" and (rival == TORCH or name == ON_JAX.format(dtype)):
                text = f"{_short(name)}: at least the speed of {rival}, one thread (loops)"
                bars.append(_faster(text, found[rival], found[name], 1, loop))
    if KERNEL not in found:
        return bars
    for dtype, name in engines:
        most = {"float32": 2.2, "float64": 4.0}[dtype]
        alone, both = (
            ratios(loop(found[row]), loop(found[KERNEL])) for row in (BACKWARD.format(name), name)
        )
        text = f"{_short(name)}: loop within {most:g} times the C kernel's, both for dx alone"
        shown = f"{spread(alone)}; with y as well, which the kernel leaves out, {spread(both)}"
        bars.append((text, shown, median(alone) <= most))
    for dtype in ("float64", "float32"):
        one, two = found[SINGLE.format(dtype)], found[DOUBLE.format(dtype)]
        shares = []
        for ns in (whole, loop):
            copies = ratios(ns(found[KERNEL]), ns(found[COPIES]))
            shares.append(ratios(ratios(ns(one), ns(two)), copies))
        text = f"{dtype}, two workers: at least 0.85 of the speed-up of two C kernels"
        shown = f"{spread(shares[0])}; loops {spread(shares[1])}"
        bars.append((text, shown, median(shares[0]) >= 0.85))
    return bars


def precision_bars(found: dict[str, Run]) -> list[Bar]:
    bars: list[Bar] = []
    finest = PRECISIONS[-1]
    times, sooner, held = {}, {}, True
    for layer in SMOOTH:
        row = found[f"{layer}, σ[dx]"]
        runs = row["sobol"][f"{finest:g}"]
        held &= max(run["reached"] for run in runs) <= finest
        times[layer] = [run["seconds"] for run in runs]
        plain = seconds_to(row["iid"][PLAIN], row["spread"], finest)
        sooner[layer] = ratios(plain, times[layer])
    for text, values, met in (
        ("sobol: 1e-6 on σ[dx] in under 1 s, whole process", times, lambda v: v < 1),
        ("sobol: 1e-6 on σ[dx] at least 10⁵ times sooner than plain", sooner, lambda v: v >= 1e5),
    ):
        shown = "; ".join(f"{layer} {spread(v)}" for layer, v in values.items())
        bars.append((text, shown, held and all(met(median(v)) for v in values.values())))
    for name, row in found.items():
        if name.startswith("max_pool2d"):
            runs = row["sobol"]["0.001"]
            plain = seconds_to(row["iid"][PLAIN], row["spread"], 1e-3)
            value = ratios(plain, [run["seconds"] for run in runs])
            met = median(value) > 1 and max(run["reached"] for run in runs) <= 1e-3
            text = f"sobol: 1e-3 on {name} sooner than plain sampling"
            bars.append((text, f"{spread(value)} times", met))
    return bars


def memory_bars(found: list[Run]) -> list[Bar]:
    single = max(r["megabytes"] for r in found if r["workers"] == 1)
    largest = max(r["megabytes"] for r in found if r["n"] == "1e9" or r["workers"] == 2)
    return [
        ("peak memory below 120 MB, one worker, any n and sampler", f"{single} MB", single < 120),
        ("peak memory below 150 MB at n = 1e9", f"{largest} MB", largest < 150),
    ]


def verdict(record: dict[str, Any], bars: list[Bar]) -> str:
    """Return the first lines of the page."""
    found, row = record["throughput"], record["precision"]["sigmoid, σ[dx]"]
    faster = {
        dtype: number(median(ratios(whole(found[PLAIN]), whole(found[SINGLE.format(dtype)]))))
        for dtype in ("float64", "float32")
    }
    finest = PRECISIONS[-1]
    sobol = median(run["seconds"] for run in row["sobol"][f"{finest:g}"])
    plain = median(seconds_to(row["iid"][PLAIN], row["spread"], finest))
    missed = [text.partition(":")[0] for text, _, met in bars if not met]
    return (
        f"**{len(bars) - len(missed)} of {len(bars)} bars passed.** On one worker bnstats draws "
        f"sigmoid {faster['float64']} times as fast as a plain numpy script in float64, "
        f"{faster['float32']} times in float32. Its σ[dx] to {finest:g} takes sobol "
        f"{number(sobol)} s, a plain script {number(plain)} s (extrapolated). "
        + (f"Missed, as said under Bars: {'; '.join(missed)}." if missed else "")
    ).rstrip()


def markdown(record: dict[str, Any]) -> str:
    m, found = record["machine"], record["throughput"]
    libraries = ", ".join(f"{k} {v}" for k, v in m.items() if k not in ("processor", "processors"))
    bars = speed_bars(found) + precision_bars(record["precision"]) + memory_bars(record["memory"])
    passed = sum(met for *_, met in bars)
    lines = [
        "# Benchmarks",
        "",
        *(["**Made with --quick: a test of the command, no measurement.**", ""] * record["quick"]),
        wrapped(verdict(record, bars)),
        "",
        f"{m['processor']}; {m['processors']} processors, shared; {libraries}.",
        f"Medians of {record['rounds']} rounds with the range in brackets; contenders took turns "
        "in an order that",
        "changes with the round, and ratios are formed within a round. One-minute load before: "
        f"{record['load_before']};",
        f"{record['minutes']} minutes in all. {' '.join(record['skipped'])}".rstrip(),
        "",
        "## Throughput",
        "",
        "Every process prints sigmoid's σ[dx], and it was right within six standard errors.",
        '"Whole process" divides the wall time by the draws; "loop" is the difference between runs',
        "of two sizes (a tenth of the draws; sobol: an eighth), which leaves start-up, imports and",
        'compilation out. "cores" is CPU time by wall time, of what the shared machine gave. Two',
        "copies of the C kernel take half of the draws each. bnstats also keeps the fourth-order",
        "moments behind its intervals; the others, but for the kernel, do not. The script calls",
        "numpy.random.randn twice for 10⁶ draws at a time, then y = 1/(1 + np.exp(-x)),",
        "dx = dy*y*(1 - y), and mean() and std() of both; torch and jax do the same in float32,",
        "one thread, 10⁵ at a time; the kernel keeps the sums of dx, dx² and dx⁴, and is compared",
        'with "dx alone", which is --direction backward and keeps those of dx³ as well.',
        "",
        *throughput_table(found),
        "",
        "## Seconds to a relative half-width (95 %)",
        "",
        "One direction only, one worker, whole processes. The iid contenders: start-up + n·ns for",
        "the n that the variance of σ̂ asks for (exact where known, otherwise of 10⁶ draws), both",
        "from runs at two sizes; *slanted* beyond 20 s, which nobody waited for. sobol was run",
        "with `--sampler sobol --precision R`; in brackets the widest half-width that it reached.",
        "",
        *precision_table(record["precision"]),
        "",
        "## Start-up",
        "",
        *startup_table(record["startup"]),
        "",
        "## Memory",
        "",
        *memory_table(record["memory"]),
        "",
        "## Bars",
        "",
        f"{passed} of {len(bars)} passed, by the median; whole processes unless said.",
        "",
        "| bar | measured | |",
        "|---|---|---|",
        *(
            f"| {text} | {value} | {'passed' if met else '**missed**'} |"
            for text, value, met in bars
        ),
        "",
        "Written by `python tests/studies/benchmarks.py`.",
    ]
    return "\n".join(lines) + "\n"
