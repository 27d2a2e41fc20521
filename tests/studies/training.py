"""Does scaling activations forward, backward or separately help training?

F. Wang's Normalizing All Layers (2016; the claims feng2016) leaves that to an experiment.

    nice python tests/studies/training.py [--out results] [--depths 4 16 64] [--seeds 10]

Needs the extra `training`. Networks of scikit-learn's handwritten digits are trained at every
learning rate of one grid; training.json is written after each contender, and what it holds already
is not trained again. training.md is derived from it. `--render` only does that.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sklearn.datasets import load_digits
from training_nets import ACTIVATIONS, SCALES, Design, accuracy, gradients, train
from training_report import markdown

DEPTHS, SEEDS = (4, 16, 64), 10
RATES = tuple(float(f"{10 ** (-k / 2):.3g}") for k in range(8, -1, -1))  # 0.0001 to 1
EPOCHS, BATCH = 10, 64
TEST, VALIDATION = 500, 200  # images
PIXELS, CLASSES = 64, 10
RESIDUAL = "tanh"  # the activation of residual networks
STABLE = 16  # the largest depth whose training does not multiply rounding at rate 0.01


class Digits(NamedTuple):
    """Images and labels of several networks, the networks first; those of the test are shared."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]

    @staticmethod
    def of(seeds: Sequence[int], dtype: torch.dtype) -> Digits:
        """Split the digits: test images are the same for all, the rest is split by each seed.

        Pixels are centred and together have mean square 1, by the images that are not tested on.
        """
        bunch = load_digits()
        x, labels = (torch.tensor(v) for v in (bunch.data, bunch.target))
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        test, rest = order[:TEST], order[TEST:]
        x = x - x[rest].mean(0)
        x = (x / x[rest].square().mean().sqrt()).to(dtype)
        splits = [rest[torch.randperm(len(rest), generator=_generator(s, 1))] for s in seeds]

        def parts(part: slice) -> tuple[Any, Any]:
            chosen = torch.stack([split[part] for split in splits])
            return x[chosen], labels[chosen]

        shared = test.expand(len(seeds), -1)
        first, last = slice(VALIDATION, None), slice(None, VALIDATION)
        return Digits(parts(first), parts(last), (x[shared], labels[shared]))

    def batches(self, seeds: Sequence[int], epoch: int) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of an epoch, in an order that depends on seed and epoch."""
        x, labels = self.train
        count = labels.shape[1]
        orders = [torch.randperm(count, generator=_generator(s, 2 + epoch)) for s in seeds]
        order = torch.stack(orders)
        rows = torch.arange(len(seeds))[:, None]
        for start in range(0, count - BATCH + 1, BATCH):
            chosen = order[:, start : start + BATCH]
            yield x[rows, chosen], labels[rows, chosen]

    def repeated(self, times: int) -> Digits:
        """Return as many copies of each network's images, one after another."""
        pairs = ((x.repeat(times, 1, 1), t.repeat(times, 1)) for x, t in self)
        return Digits(*pairs)


def _generator(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * seed + stream)


def contenders(depths: Sequence[int]) -> Iterator[Design]:
    """Yield all designs that differ, by depth; chains before residual networks."""
    for depth in depths:
        for alpha in (None, 1 / math.sqrt(depth)):
            for name, activation in ACTIVATIONS.items():
                if alpha is not None and name != RESIDUAL:
                    continue
                seen = set()
                for scale in SCALES:
                    factors = activation.factors(scale)
                    if factors not in seen:
                        seen.add(factors)
                        yield Design(depth, name, scale, alpha=alpha)


def run(design: Design, seeds: Sequence[int], epochs: int) -> dict[str, Any]:
    """Train a design at every rate and seed, and return its accuracies, [rate][seed]."""
    dtype = torch.float32
    digits = Digits.of(seeds, dtype)
    weights = [w.to(dtype) for w in design.weights(seeds, PIXELS, CLASSES)]
    weights = [w.repeat(len(RATES), 1, 1) for w in weights]
    rate = torch.tensor(RATES, dtype=dtype).repeat_interleave(len(seeds))
    everywhere = digits.repeated(len(RATES))
    batches = (
        (x.repeat(len(RATES), 1, 1), labels.repeat(len(RATES), 1))
        for epoch in range(epochs)
        for x, labels in digits.batches(seeds, epoch)
    )
    weights = train(design, weights, batches, [rate] * len(weights))
    found = {
        name: accuracy(design, *part, weights).reshape(len(RATES), -1).tolist()
        for name, part in (("validation", everywhere.validation), ("test", everywhere.test))
    }
    return {**_named(design), "seeds": len(seeds), "epochs": epochs, **found}


def _named(design: Design) -> dict[str, Any]:
    return {
        "kind": "chain" if design.alpha is None else "residual",
        "activation": design.activation,
        "depth": design.depth,
        "scale": design.scale,
    }


def chain_rates(design: Design, rate: float) -> list[float]:
    """Return the rates at which the forward-scaled chain does what the separate one does.

    A layer's gradient is off by one ratio for every activation between it and the output.
    """
    return [rate * design.ratio() ** (design.depth - layer) for layer in range(design.depth + 1)]


def identity(activation: str, depth: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Compare a separate chain with a forward one that has a rate of its own for every layer.

    Returns the largest difference of a layer's first step, as a share of it, and after an epoch
    that of its weights, as a share of how far they moved. That is None of a depth at which training
    itself multiplies rounding: two computations of one network part there too.
    """
    separate = Design(depth, activation, "separate")
    forward = separate._replace(scale="forward")
    digits = Digits.of(seeds, torch.float64)
    weights = separate.weights(seeds, PIXELS, CLASSES)
    batches = list(digits.batches(seeds, 0))
    rate = torch.full((len(seeds),), 0.01, dtype=torch.float64)
    ratios = chain_rates(separate, 1.0)
    steps = [
        [ratio * g for ratio, g in zip(of, gradients(design, *batches[0], weights), strict=True)]
        for design, of in ((separate, [1.0] * len(weights)), (forward, ratios))
    ]
    entry: dict[str, Any] = {"activation": activation, "depth": depth, "steps": len(batches)}
    entry["first"] = max(float((a - b).norm() / a.norm()) for a, b in zip(*steps, strict=True))
    entry["epoch"] = None
    if depth <= STABLE:
        one = train(separate, weights, batches, [rate] * len(weights))
        other = train(forward, weights, batches, [rate * ratio for ratio in ratios])
        entry["epoch"] = max(
            float((a - b).norm() / (a - w).norm())
            for a, b, w in zip(one, other, weights, strict=True)
        )
    return entry


def cosines(activation: str, depth: int, alpha: float | None, seeds: Sequence[int]) -> list[float]:
    """Return each network's cosine between separate and true gradient of its first layer."""
    separate = Design(depth, activation, "separate", alpha=alpha)
    x, labels = next(Digits.of(seeds, torch.float64).batches(seeds, 0))
    weights = separate.weights(seeds, PIXELS, CLASSES)
    one, true = (
        gradients(design, x, labels, weights)[0].flatten(1)
        for design in (separate, separate._replace(scale="forward"))
    )
    return torch.nn.functional.cosine_similarity(one, true).tolist()


def theory(depths: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
    """Return the identity of the chain, and by how much it fails where branches meet."""
    differing = [name for name in ACTIVATIONS if Design(1, name, "separate").ratio() != 1]
    found = []
    for depth in depths:
        branches = {"chain": None, "α = 1": 1.0, "α = 1/√depth": 1 / math.sqrt(depth)}
        for kind, alpha in branches.items():
            values = cosines(RESIDUAL, depth, alpha, seeds)
            found.append({"kind": kind, "depth": depth, "cosines": values})
    return {
        "identity": [identity(name, depth, seeds) for name in differing for depth in depths],
        "cosines": found,
    }


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return what all runs of a record share."""
    return {
        "rates": list(RATES),
        "seeds": options.seeds,
        "epochs": options.epochs,
        "batch": BATCH,
        "width": Design(1, RESIDUAL, "none").width,
        "images": {"validation": VALIDATION, "test": TEST},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing in the record, and write it and its page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--render", action="store_true", help="train nothing")
    options = parser.parse_args(argv)
    path, shared = options.out / "training.json", settings(options)
    record = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if options.render:
        _write(options.out, record)
        return
    if record.get("settings", shared) != shared:
        parser.error(f"{path} was made with other settings: {record['settings']}")
    torch.set_num_threads(1)  # the same digits on any machine of its kind
    torch.set_flush_denormal(True)  # gradients that vanish make a step many times slower
    seeds = range(options.seeds)
    record = {
        "settings": shared,
        "theory": theory(options.depths, seeds),
        "runs": record.get("runs", []),
        "wanted": [_named(design) for design in contenders(options.depths)],
    }
    done = [{key: one[key] for key in record["wanted"][0]} for one in record["runs"]]
    _write(options.out, record)
    for design in contenders(options.depths):
        if _named(design) in done:
            continue
        start = time.monotonic()
        record["runs"].append(run(design, seeds, options.epochs))
        _write(options.out, record)
        print(*_named(design).values(), f"{time.monotonic() - start:.0f} s", flush=True)


def _write(out: Path, record: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (out / "training.json").write_text(text, encoding="utf-8")
    (out / "training.md").write_text(markdown(record), encoding="utf-8")


if __name__ == "__main__":
    main()
