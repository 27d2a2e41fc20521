"""Text of the study of training, from the record in training.json alone."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from report_text import COLUMNS, wrapped
from scipy import special

Record = dict[str, Any]

CONFIDENCE = 0.95
LEARNED = 0.5  # accuracy of one of two from which their difference says anything
TRAINED = 0.9  # validation accuracy from which a rate is said to train
AGAINST = "forward"


class Chosen(NamedTuple):
    """A contender at the rate that is best on validation images, and its accuracies on others."""

    run: Record
    rate: float
    at_the_end: bool
    trains: int
    test: list[float]

    @property
    def group(self) -> tuple[str, int, str]:
        """What it is compared within."""
        return self.run["kind"], self.run["depth"], self.run["activation"]


def chosen(record: Record) -> list[Chosen]:
    """Return every contender with its rate, the best by its mean over seeds."""
    rates, found = record["settings"]["rates"], []
    for run in record["runs"]:
        means = [statistics.fmean(seeds) for seeds in run["validation"]]
        best = means.index(max(means))
        ends = best in (0, len(rates) - 1)
        trains = sum(mean >= TRAINED for mean in means)
        found.append(Chosen(run, rates[best], ends, trains, run["test"][best]))
    return found


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the mean, and the half-width of Student's interval of it."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    quantile = -float(special.stdtrit(len(values) - 1, (1 - confidence) / 2))
    return statistics.fmean(values), quantile * error


def differences(found: Sequence[Chosen]) -> dict[tuple[str, int, str, str], tuple[float, float]]:
    """Return by how much contenders differ from the forward-scaled one of their group.

    Seeds are paired: the same weights, split and order. Half-widths hold for all of them together,
    by Bonferroni's inequality.
    """
    forward = {c.group: c for c in found if c.run["scale"] == AGAINST}
    others = [c for c in found if c.run["scale"] != AGAINST and c.group in forward]
    confidence = 1 - (1 - CONFIDENCE) / max(len(others), 1)
    return {
        (*c.group, c.run["scale"]): interval(
            [a - b for a, b in zip(c.test, forward[c.group].test, strict=True)], confidence
        )
        for c in others
    }


def markdown(record: Record) -> str:
    """Return the page."""
    found = chosen(record)
    apart = differences(found)
    lines = ["# Training with activations scaled forward, backward or separately", ""]
    for paragraph in verdict(record, found, apart):
        lines += [wrapped(paragraph), ""]
    lines += ["## Accuracy", "", wrapped(how(record, len(apart))), ""]
    for kind, depth in dict.fromkeys((c.run["kind"], c.run["depth"]) for c in found):
        lines += [f"### {kind.capitalize()}, depth {depth}", ""]
        lines += rows([c for c in found if c.group[:2] == (kind, depth)], apart)
        lines += [""]
    lines += ["## The chain: a learning rate for every layer", "", *chain(record), ""]
    lines += ["## Where branches meet", "", *branches(record), ""]
    lines += ["## What is not shown", ""]
    lines += [textwrap.fill(f"- {text}", COLUMNS, subsequent_indent="  ") for text in limits(found)]
    return "\n".join([*lines, "", "Written by `python tests/studies/training.py`.", ""])


def verdict(
    record: Record,
    found: Sequence[Chosen],
    apart: dict[tuple[str, int, str, str], tuple[float, float]],
) -> Iterator[str]:
    missing = len(record["wanted"]) - len(found)
    if missing:
        yield (
            f"**{len(found)} of {len(record['wanted'])} contenders are trained; the same command "
            "trains the others.**"
        )
    means = {(*c.group, c.run["scale"]): statistics.fmean(c.test) for c in found}
    said, told = [], []
    for scale in ("separate", "backward", "none"):
        mine = {
            key: d
            for key, d in apart.items()
            if key[3] == scale and max(means[key], means[(*key[:3], AGAINST)]) >= LEARNED
        }
        better = [key for key, (mean, half) in mine.items() if mean > half]
        worse = [key for key, (mean, half) in mine.items() if mean < -half]
        rest = len(mine) - len(better) - len(worse)
        said.append(f"*{scale}* {len(better)}, {len(worse)} and {rest}")
        told += [
            f"*{scale}* {how} for {named(keys)}"
            for how, keys in (("better", better), ("worse", worse))
            if keys
        ]
    yield (
        f"**Does separate scaling train better than *{AGAINST}*?** Of networks of handwritten "
        "digits, each at the best of its learning rates, where one of the two has at least "
        f"{100 * LEARNED:g} % right, these are better, worse, and not told from it: "
        f"{'; '.join(said)}."
    )
    if told:
        yield f"Those that are told from *{AGAINST}*: {'; '.join(told)}."
    first = max(entry["first"] for entry in record["theory"]["identity"])
    yield (
        "On a chain it is nothing new: the network scaled forward, with a learning rate for every "
        f"layer, takes the same steps (to {first:.0e} of their size). What a reader may tune there "
        "is the rates. Where branches meet, the gradient points elsewhere, and no rates mend it."
    )


def named(keys: Sequence[tuple[str, int, str, str]]) -> str:
    return ", ".join(f"{activation} {depth} ({kind})" for kind, depth, activation, _ in keys)


def how(record: Record, compared: int) -> str:
    s = record["settings"]
    rates = s["rates"]
    return (
        f"Width {s['width']}, normal weights of variance 1/fan_in, no biases, a linear readout. "
        f"Gradient descent with momentum 0.9 for {s['epochs']} epochs in batches of {s['batch']}, "
        f"at {len(rates)} learning rates from {rates[0]:g} to {rates[-1]:g}, the same for every "
        f"contender; {s['seeds']} seeds each, of weights, split and order. The rate is chosen on "
        f"{s['images']['validation']} images, and *accuracy* is that of {s['images']['test']} "
        "others, the same for all seeds: mean over seeds with its 95 % interval of Student's t. "
        "Guessing has 10 %; logits that are not finite are counted as wrong. "
        f"*rates* are those of the {len(rates)} that reach {100 * TRAINED:g} % in validation. The "
        f"difference from *{AGAINST}* pairs seeds; its intervals hold for all {compared} together "
        "with 95 %. An asterisk marks a rate at an end of the grid. *− mean* subtracts E[y], as "
        "Normalizing All Layers (2016) does; relu as it is has one constant, so that *forward* is "
        "*backward* and *separate*. Residual layers are h + y/√depth."
    )


def rows(
    found: Iterable[Chosen], apart: dict[tuple[str, int, str, str], tuple[float, float]]
) -> list[str]:
    lines = [
        f"| activation | scaled | accuracy, % | rate | rates | difference from {AGAINST}, % |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for c in found:
        mean, half = interval(c.test)
        difference = apart.get((*c.group, c.run["scale"]))
        rate = f"{c.rate:g}{'*' if c.at_the_end else ''}"
        lines.append(
            f"| {c.run['activation']} | {c.run['scale']} | {100 * mean:.1f} ± {100 * half:.1f} | "
            f"{rate} | {c.trains} | {shown(difference)} |"
        )
    return lines


def shown(difference: tuple[float, float] | None) -> str:
    if difference is None:
        return ""
    mean, half = difference
    text = f"{100 * mean:+.1f} ± {100 * half:.1f}".replace("-", "−")
    return f"**{text}**" if abs(mean) > half else text


def chain(record: Record) -> list[str]:
    lines = [
        wrapped(
            "Separate scaling multiplies the gradient by one ratio, rms[y]/σ[dx], at every "
            "activation that it passes. So the network scaled forward is trained alike, if a "
            "layer's rate is multiplied by that ratio once for every activation above it. In "
            "float64, as a share of what a step or an epoch changes:"
        ),
        "",
        "| activation | depth | first step differs by | weights after an epoch differ by |",
        "|---|--:|--:|--:|",
    ]
    for entry in record["theory"]["identity"]:
        epoch = "–" if entry["epoch"] is None else f"{entry['epoch']:.0e}"
        lines.append(
            f"| {entry['activation']} | {entry['depth']} | {entry['first']:.0e} | {epoch} |"
        )
    return [*lines, "", "– : training at that depth multiplies rounding errors by itself."]


def branches(record: Record) -> list[str]:
    lines = [
        wrapped(
            "The cosine between the separate gradient of the first layer's weights and the true "
            "one, tanh, at the start: mean over seeds with its 95 % interval, and the least. Below "
            "1 no learning rate of that layer makes them one."
        ),
        "",
        "| network | depth | cosine | least |",
        "|---|--:|--:|--:|",
    ]
    for entry in record["theory"]["cosines"]:
        values = entry["cosines"]
        kind = entry["kind"] if entry["kind"] == "chain" else f"residual, {entry['kind']}"
        mean, half = interval(values)
        error = "" if half < 1e-9 else f" ± {half:.4f}"
        lines.append(f"| {kind} | {entry['depth']} | {mean:.4f}{error} | {min(values):.4f} |")
    return lines


def limits(found: Sequence[Chosen]) -> Iterator[str]:
    untrained = [c for c in found if not c.trains]
    at_end = [c for c in untrained if c.at_the_end]
    if untrained:
        yield (
            f"{len(untrained)} of {len(found)} contenders reach {100 * TRAINED:g} % at no rate of "
            f"the grid, {len(at_end)} of them best at its end: among those, a difference is one of "
            "networks that hardly train, and other rates or more epochs may turn it round."
        )
    yield (
        "The grid goes in half decades: a small difference may be one of how near a contender's "
        "best rate lies to one of them."
    )
    yield (
        "One data set, one width and one optimiser. Adam divides a layer's gradient by its size, "
        "so that on a chain it hardly sees the ratio: separate is forward there, but for its ε."
    )
    yield (
        "Intervals are over seeds. Another set of as many test images would move all accuracies "
        "together, by a percent or so."
    )
    yield (
        "Rates that are tuned for every layer, norms, biases and schedules, which a practitioner "
        "would try before any of this."
    )
