"""results/faults.md, from the record alone."""

from __future__ import annotations

from typing import Any


def markdown(record: dict[str, Any]) -> str:
    """Return the page."""
    runs = sum(row["runs"] for row in record["studies"].values())
    outcomes = [what for row in record["studies"].values() for what in row["outcomes"]]
    bad = [what for what in outcomes if "other digits" in what or "hangs" in what]
    verdict = "None hung, and none ended with other digits." if not bad else f"Bad: {bad}."
    lines = [
        "# Faults",
        "",
        f"**{runs} runs lost workers, the client, the scheduler or their disk. {verdict}**",
        "",
        f"Runs of {record['samples']:,} draws of `{record['layer']}`",
        "that lost something on the way. Every run that ended is compared with an undisturbed one,",
        "digit by digit. Written by `python tests/studies/faults.py`.",
        "",
        "| fault | runs | what came of them | seconds | load |",
        "|---|--:|---|--:|---|",
    ]
    for name, row in record["studies"].items():
        came = ", ".join(f"{what} {n:,}" for what, n in row["outcomes"].items())
        low, high = row["load"]
        lines.append(
            f"| {name} | {row['runs']} | {came} | {row['seconds']:.0f} | {low:.0f} to {high:.0f} |"
        )
    return "\n".join([*lines, "", f"{record['machine']}, bnstats {record['bnstats']}.", ""])
