"""results/scale.md, from the record alone."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any


def markdown(record: dict[str, Any]) -> str:
    """Return the page; what was not measured is left out."""
    lines = [
        "# Scale",
        "",
        f"**{' '.join(_verdict(record))}**",
        "",
        "How runs of `sigmoid` scale over processes and hosts, and what a task of a cluster costs.",
        "Written by `python tests/studies/scale.py`.",
    ]
    for name, section in SECTIONS.items():
        if name in record:
            lines += ["", *section(record[name])]
    return "\n".join([*lines, "", f"{record['machine']}, bnstats {record['bnstats']}.", ""])


def _verdict(record: dict[str, Any]) -> Iterator[str]:
    if "throughput" in record:
        share = median(record["throughput"]["dask_over_forked"])
        yield f"Two workers of dask reach {share:.2f} of the throughput of `--workers 2` (bar 0.9)."
    if "start" in record:
        yield f"`--cluster local:2` starts in {median(record['start']['local:2']):.1f} s (bar 3)."
    if "task" in record:
        yield f"A span costs {record['task']['bytes']:,.0f} bytes on all wires (bar 2,048)."
    if "thousand" in record:
        share = record["thousand"]["scheduler_share"]
        yield f"The scheduler of 1,000 workers takes {share:.2f} of a processor (bar 0.2)."


def _throughput(found: dict[str, Any]) -> list[str]:
    rates = {name: median(values) for name, values in found["rates"].items()}
    low, high = found["dask_over_forked"][0], found["dask_over_forked"][-1]
    one, two = "--workers 1", "--workers 2"
    return [
        "## Processes",
        "",
        f"Runs of {found['samples']:,} draws, or half of them, in turns. Median of",
        f"{len(found['dask_over_forked'])} rounds; load {found['load']:.1f}.",
        "",
        "| | million draws/s |",
        "|---|--:|",
        *(f"| `{name}` | {rate / 1e6:.1f} |" for name, rate in rates.items()),
        "",
        f"Two workers of dask reach {median(found['dask_over_forked']):.2f} of the throughput of",
        f"`--workers 2` ({low:.2f} to {high:.2f}). Two processes draw",
        f"{rates[two] / rates[one]:.2f} times as much as one in the same time (weak), and are",
        f"{rates[two] / rates[one + ', all of it']:.2f} times as fast on the same draws (strong);",
        "two workers of dask draw",
        f"{rates['--cluster, 2 workers'] / rates['--cluster, 1 worker']:.2f} times as much as one.",
    ]


def _start(found: dict[str, Any]) -> list[str]:
    none, local = median(found["none"]), median(found["local:2"])
    return [
        "## Start-up",
        "",
        f"A call that draws 1,000 times takes {none:.2f} s, with `--cluster local:2` {local:.2f} s",
        f"(medians; load {found['load']:.1f}).",
    ]


def _task(found: dict[str, Any]) -> list[str]:
    cost, each = found["scheduler_seconds"], found["span_seconds_per_worker"]
    return [
        "## A span",
        "",
        f"Over {found['spans']:,} spans of 20 ms on two workers, a span costs",
        f"{found['bytes']:,.0f} bytes on all wires together, dask's messages and all headers of",
        f"packets included, and {cost * 1e3:.2f} ms of the scheduler's processor. A span takes a",
        f"worker 1 s, or {each * 1e3:.0f} ms for each worker of the cluster if that is more. So a",
        f"scheduler spends at most {cost / each:.0%} of a processor on spans, however many workers",
        "there are; what limits their number is dask's own upkeep of them.",
    ]


def _hosts(found: dict[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {row['refused']} | | |"
        if "refused" in row
        else f"| {name} | {row['by']} | {row['seconds']:.1f} "
        f"| {'the same' if row['same_digits'] else 'OTHER'} |"
        for name, row in found["networks"].items()
    ]
    return [
        "## Hosts",
        "",
        f"A run of {found['samples']:,} draws. Client and scheduler are in one network",
        "namespace, two workers in another; delays are of a round trip, losses of each way. Where",
        "the kernel cannot delay packets, a proxy before the scheduler does, which loses none.",
        f"Load {found['load']:.1f}.",
        "",
        "| network | made by | seconds | digits |",
        "|---|---|--:|---|",
        *rows,
    ]


def _thousand(found: dict[str, Any]) -> list[str]:
    return [
        f"## {found['workers']:,} workers",
        "",
        f"Workers that sleep for as long as they would draw, {found['spans']:,} spans in"
        f" {found['seconds']:.0f} s:",
        f"the scheduler takes {found['scheduler_share']:.1%} of a processor",
        f"({found['scheduler_share_idle']:.1%} when idle), the client {found['client_share']:.1%}.",
    ]


def _endless(found: dict[str, Any]) -> list[str]:
    first = {n: median(values) for n, values in found["first_checkpoint"].items()}
    lines = [
        "## Runs without end",
        "",
        "Seconds from the start of the program to its first checkpoint, two processes"
        f" (medians; load {found['load']:.1f}): "
        + ", ".join(f"{seconds:.2f} of {n} draws" for n, seconds in first.items())
        + ". Megabytes of a client whose two workers draw spans of 10 ms,",
        "at eight moments:",
        "",
        "| draws | MB |",
        "|---|---|",
    ]
    for n, values in found["client_megabytes"].items():
        lines.append(f"| {n} | {', '.join(f'{value:.0f}' for value in values)} |")
    return lines


SECTIONS = {
    "throughput": _throughput,
    "start": _start,
    "task": _task,
    "hosts": _hosts,
    "thousand": _thousand,
    "endless": _endless,
}
