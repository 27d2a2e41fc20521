"""Tables and bars of gpu.md, from the record in gpu.json alone."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from benchmarks_report import number, spread
from gpu_catalogue import DTYPES, agrees
from gpu_contenders import LAYERS, OURS, VARIANT
from gpu_statistics import FAMILY_ERROR, MEASURED, family, ratios

Record = dict[str, Any]

BYTES_PER_DX = 56  # of torch eager: x, dy, y, 1 − y, two products and a sum, read and written
LEAST_RATE = 50e9
LAYER = "sigmoid"
BACKWARD = "bnstats {}, backward"
FARTHEST = 6.0  # standard errors of a contender's σ[dx]
SHOWN = 12  # rows of the catalogue that are named


class Bar(NamedTuple):
    """What was asked for, what was measured, and whether it is met; None is not measured."""

    text: str
    shown: str
    met: bool | None


def rates(found: Record, name: str) -> list[float]:
    """Return dx per second of each round."""
    row = found["contenders"][name]
    return [found["per_draw"] * row["draws"] / s for s in row["seconds"]]


def timed(found: Record, kind: str) -> str | None:
    """Return the variant of a contender that was timed, if any was."""
    rows = found.get("contenders", {})
    names = [n for n, row in rows.items() if n.partition(VARIANT)[0] == kind and row.get("seconds")]
    return names[0] if names else None


def fastest(found: Record, kinds: Iterable[str]) -> str | None:
    """Return the fastest of those that do the work they should."""
    names = [n for n in (timed(found, kind) for kind in kinds) if n and right(found, n)]
    return max(names, key=lambda n: median(rates(found, n)), default=None)


def right(found: Record, name: str) -> bool:
    """Whether a contender's σ[dx] is sigmoid's."""
    z = found["contenders"][name].get("z")
    return z is not None and abs(z) < FARTHEST


def reason(found: Record, name: str) -> str:
    """Return why a contender, or a piece, was not timed."""
    row = found.get("contenders", {}).get(name, {})
    told = row.get("error") or found.get("error") or found.get("skipped")
    if not told and row.get("seconds"):
        told = f"σ[dx] is off by {row.get('z', float('nan')):.1f} standard errors"
    return told or "no such run"


def bars(record: Record) -> list[Bar]:
    """Judge by medians; a ratio is that of the same rounds."""
    gpu, found = record["device"]["kind"] == "cuda", record["speed"].get(LAYER, {})
    ours = fastest(found, [BACKWARD.format(b) for b in record["device"]["backends"]])
    compared = {
        "at least twice torch eager, which forms dx by hand": (["torch eager"], 2.0),
        "at least half of the hand-written Triton kernel": (
            ["Triton kernel, libdevice", "Triton kernel, special function unit"],
            0.5,
        ),
    }
    text = f"{LAYER}, float32: at least {LEAST_RATE:.0e} dx per second".replace("e+", "e")
    none = "no GPU here" if not gpu else reason(found, BACKWARD.format("torch"))
    judged = []
    if gpu and ours:
        values = rates(found, ours)
        judged.append(Bar(text, f"{spread(values)} ({ours})", median(values) >= LEAST_RATE))
    else:
        judged.append(Bar(text, none, None))
    for text, (kinds, least) in compared.items():
        other = fastest(found, kinds)
        text = f"{LAYER}, float32: {text}"
        if gpu and ours and other:
            values = ratios(rates(found, ours), rates(found, other))
            judged.append(Bar(text, f"{spread(values)} ({other})", median(values) >= least))
        else:
            why = none if not (gpu and ours) else f"{kinds[0]}: {kind_reason(found, kinds[0])}"
            judged.append(Bar(text, why, None))
    return [*judged, processor_bar(record)]


def kind_reason(found: Record, kind: str) -> str:
    """Return why no variant of a contender counts."""
    names = [n for n in found.get("contenders", {}) if n.partition(VARIANT)[0] == kind]
    return reason(found, names[0]) if names else reason(found, kind)


def processor_bar(record: Record) -> Bar:
    found = record["speed"].get("processor", {})
    text = f"{LAYER}, float32, on a processor: jax at least as fast as a user's jax script"
    if "seconds" not in found:
        return Bar(text, found.get("error") or found.get("skipped") or "not run", None)
    scripts = [name for name in found["seconds"] if name != OURS]
    quickest = min(scripts, key=lambda name: median(found["seconds"][name]))
    values = ratios(found["seconds"][quickest], found["seconds"][OURS])
    return Bar(text, f"{spread(values)} ({quickest})", median(values) >= 1)


def markdown(record: Record) -> str:
    d, m = record["device"], record["machine"]
    names = ("kind", "name", "devices", "backends")
    versions = ", ".join(f"{k} {v}" for k, v in d.items() if k not in names)
    lines = ["# The torch and jax backends on a GPU", ""]
    lines += [
        f"Device: {d.get('name', 'none')} ({d.get('devices', 0)} of kind {d['kind']}); {versions}."
    ]
    lines += [
        f"Host: {m['processor']}, {m['processors']} processors, {m['system']}, "
        f"Python {m['python']}. Seed {record['seed']}."
    ]
    if d["kind"] != "cuda":
        lines += ["", f"**Run on {d['kind']}: nothing here is a figure of a GPU.**"]
    if record["quick"]:
        lines += ["", "**Little work, done to test the command; not a measurement.**"]
    lines += ["", "## Bars", "", "| bar | measured | |", "|---|---|---|"]
    for bar in bars(record):
        met = {True: "pass", False: "**fail**", None: "not measured"}[bar.met]
        lines.append(f"| {bar.text} | {cell(bar.shown)} | {met} |")
    lines += ["", *speed(record), "", *catalogue(record), "", *checks(record)]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def speed(record: Record) -> list[str]:
    lines = [
        "## Throughput",
        "",
        "dx per second, float32: median of all rounds (least–most), contenders taking turns. A "
        "contender that was run with several block sizes is shown with its best. The first call "
        "compiles. A draw of max_pool2d has 9 dx, one of softmax 10.",
        "",
        "| layer | contender | 10⁹ dx per second | of bnstats, backward | first call, s |",
        "|---|---|--:|--:|--:|",
    ]
    for layer in LAYERS:
        found = record["speed"].get(layer, {})
        if "contenders" not in found:
            lines.append(f"| {layer} | all | not measured: {cell(reason(found, ''))} | | |")
            continue
        ours = fastest(found, [BACKWARD.format(b) for b in record["device"]["backends"]])
        for name, row in found["contenders"].items():
            kind = name.partition(VARIANT)[0]
            if name == timed(found, kind) and right(found, name):
                values = rates(found, name)
                share = spread(ratios(values, rates(found, ours))) if ours else ""
                billions = spread([v / 1e9 for v in values])
                lines.append(f"| {layer} | {name} | {billions} | {share} | {row['first']} |")
            elif timed(found, kind) in (None, name):
                told = cell(reason(found, name))
                lines.append(f"| {layer} | {name} | not measured: {told} | | |")
    copy = record["speed"].get("bandwidth", {})
    if "seconds" in copy:
        bytes_ = [copy["bytes"] / s for s in copy["seconds"]]
        limit = spread([v / BYTES_PER_DX / 1e9 for v in bytes_])
        lines += [
            "",
            f"A large copy moves {spread([v / 1e9 for v in bytes_])} ·10⁹ bytes per second, read "
            f"and written. Unfused code of {BYTES_PER_DX} bytes per dx is limited by it to "
            f"{limit} ·10⁹ dx per second.",
        ]
    else:
        lines += ["", f"Bandwidth: not measured: {reason(copy, '')}."]
    return lines


def catalogue(record: Record) -> list[str]:
    rows, total = record["catalogue"], record.get("rows", 0)
    rounding = (
        "at most 4 units in the last place, plus four times what numpy's own float32 is off by"
    )
    lines = [
        "## The catalogue",
        "",
        f"z of {', '.join(MEASURED)} against exact values where they are known and against numpy's "
        f"engine at another seed (family-wise error {FAMILY_ERROR:g}; 4.6 % of normal z lie beyond "
        f"2, 0.27 % beyond 3). Outputs: on equal inputs {rounding}, from numpy's "
        "float64.",
        "",
        "| backend | rows done | z against | z | largest (limit) | beyond 2 | beyond 3 | verdict |",
        "|---|--:|---|--:|--:|--:|--:|---|",
    ]
    groups = [(b, t) for b in record["device"]["backends"] for t in DTYPES]
    for backend, dtype in groups:
        prefix = f"{backend} {dtype} "
        mine = {k.removeprefix(prefix): r for k, r in rows.items() if k.startswith(prefix)}
        for against in ("exact", "numpy"):
            zs = [z for r in mine.values() for z in r.get(against, {}).values()]
            f = family(zs)
            done = sum("exact" in r for r in mine.values())
            head = f"| {backend}, {dtype} | {done} of {total // len(groups)} | {against} "
            if not f["tests"]:
                lines.append(head + "| 0 | | | | not measured |")
                continue
            lines.append(
                head + f"| {f['tests']} | {f['largest']:.2f} ({f['threshold']:.2f}) "
                f"| {100 * f['beyond_2']:.1f} % | {100 * f['beyond_3']:.2f} % "
                f"| {'agree' if f['passed'] else '**differ**'} |"
            )
    compared = [r for r in rows.values() if "ulps" in r]
    off = {k: r for k, r in rows.items() if "ulps" in r and not agrees(r)}
    lines += ["", f"Outputs agree in {len(compared) - len(off)} of {len(compared)} rows."]
    lines += [
        f"- {k}: {number(r['ulps'])} ulps, where numpy's float32 is off by {number(r['own'])}"
        for k, r in list(off.items())[:SHOWN]
    ]
    told = {k: r[e] for k, r in rows.items() for e in ("moments_error", "outputs_error") if e in r}
    warned = {k: r["warnings"][0] for k, r in rows.items() if r.get("warnings")}
    apart = sum(len(r.get("apart", ())) for r in rows.values())
    broken = {k: r for k, r in rows.items() if r.get("breaks")}
    lines += [
        "",
        f"Rows that raised an error: {len(told)}; with a warning: {len(warned)}; whose graph torch "
        f"broke: {len(broken)}. Estimates left out as unreliable: {apart}.",
    ]
    lines += [f"- {k}: {text}" for k, text in list((told | warned).items())[:SHOWN]]
    return lines


def checks(record: Record) -> list[str]:
    found = record["checks"]
    lines = ["## Checks", "", "| check | result | found |", "|---|---|---|"]
    for name, row in found.items():
        if "error" in row:
            lines.append(f"| {name} | not measured | {cell(row['error'])} |")
        elif "skipped" in row:
            lines.append(f"| {name} | not measured | {cell(row['skipped'])} |")
        else:
            verdict = {True: "pass", False: "**fail**", None: "for comparison"}[row.get("passed")]
            lines.append(f"| {name} | {verdict} | {cell(shown(name, row))} |")
    return lines if found else [*lines[:2], "Not run."]


def shown(name: str, row: Record) -> str:
    """Return a check's findings in a line."""
    kind = name.partition(",")[0]
    n = number(row["draws"]) if "draws" in row else ""
    if kind == "sums":
        parts = [
            f"{q} {row[q]['z']:+.2f} standard errors"
            + (f" ({row[q]['relative']:+.1e})" if row[q]["relative"] is not None else "")
            for q in MEASURED
            if q in row
        ]
        return f"n = {n} in {row['seconds']} s: " + ", ".join(parts)
    if kind.startswith("naive"):
        return f"n = {n}: a running sum in float32 puts σ[dx] off by {100 * row['relative']:+.2g} %"
    if kind == "repeats":
        parts = [
            f"{d}: again {row[d]['again']:.0e}, in other blocks {row[d]['other_blocks']:.0e}"
            for d in DTYPES
        ]
        return f"n = {n}; " + "; ".join(parts)
    if kind.startswith("across"):
        return f"n = {n}; " + "; ".join(f"{d}: {row[d]:.0e}" for d in DTYPES)
    if kind == "all devices":
        return f"n = {n}, {row['devices']} devices: {row['gap']:.0e}"
    if kind == "out of memory":
        told = "; ".join(row["warnings"][:2]) or "no warning"
        return f"n = {n}, σ[dx] {row['z']:+.2f} standard errors; {told}"
    return str(row.get("told", ""))
