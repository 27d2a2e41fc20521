"""Whether two installations of bnstats print the same: every layer, every command, every byte.

    python tests/studies/recorded.py BASE_PYTHON NEW_PYTHON [--known PATTERN=TEXT] [--only WORD]

Each of the two Pythons runs one list of commands in one process, in an empty folder of its own, and
records stdout, stderr, the exit code and the files that are left. What differs is printed once with
the number of commands in which it does; times are masked. `--known` replaces a regular expression
on both sides before they are compared, for a change that is wanted; `--only` keeps the commands
that hold a word. Exit code 1: something differs.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

Command: TypeAlias = list[str]
Record: TypeAlias = dict[str, Any]  # argv, code, out, err

N = ["-n", "1e4", "--workers", "1"]
FORMATS = ("json", "csv", "markdown", "latex", "text")

# Written into the folder before the first command.
FILES = {
    "acts.py": '''"""Functions of a user's."""

import numpy as np

def wave(x, *, k=1.0):
    """A sine."""
    return np.sin(k * x)

def tanh_pair(xp, x):
    t = xp.tanh(x)
    return t, 1 - t * t

def leaky(x, negative_slope=0.1):
    return np.where(x > 0, x, negative_slope * x)

def step(x):
    return np.floor(x) + np.maximum(x - 0.25, 0.0)

def growing(x):
    return np.exp(x * x / 5)

def branches(x): return x if x > 0 else 0 * x
def in_place(x):
    x *= 2
    return x
def mean_of(x): return x.mean()
def half(x): return x[::2]
def booleans(x): return x > 0
def misspelt(x): return np.tnh(x)
def noisy(x): return x + np.random.default_rng().normal(size=x.shape)
def nowhere(x): return x * np.nan
def wrong_slope(xp, x): return xp.sin(x), xp.cos(x) + 0.5 * (x > 2)
''',
    "own.toml": """title = "Of mine"
[[claim]]
layer = "relu"
std_y = 0.584
[[claim]]
layer = "tanh"
std_dx = "0.5"
gain_y = "5/3"
[[claim]]
layer = "max_pool2d:kernel_size=2"
mean_y = 1.03
std_dx = 0.51
""",
    "own.json": '[{"layer": "silu", "std_y": 0.5597, "std_dx": 0.7}]\n',
    "own.csv": "layer,quantity,value\ngelu,std_y,0.58\nelu:alpha=2,mean_y,0.1\n",
    "bad.toml": '[[claim]]\nlayer = "rleu"\nstd_y = 0.584\n',
    "broken.toml": "[[claim]\n",
    "wrong.csv": "layer,quantity,value\nrelu,stdy,0.58\n",
    "fixed.toml": '[[claim]]\nlayer = "relu"\nstd_y = 0.61  # here\nstd_dx = ".61"\n',
}

MORE_SPECS = [
    "max_pool2d:kernel_size=3,stride=2,padding=1,input_size=7",
    "max_pool2d:kernel_size=3,stride=2,padding=1,input_size=7,region=corner",
    "max_pool1d:kernel_size=3,dilation=2",
    "avg_pool2d:kernel_size=3,padding=1,input_size=6,count_include_pad=false",
    "avg_pool1d:kernel_size=3,stride=2,ceil_mode=true,input_size=8",
    "lp_pool1d:kernel_size=3,norm_type=3",
    "lp_pool1d:kernel_size=3,norm_type=inf",
    "conv2d:kernel_size=3,padding=1,input_size=5,region=edge",
    "conv2d:groups=2,in_channels=4,out_channels=4",
    "conv1d:kernel_size=2x1",
    "conv_transpose1d:stride=2,output_padding=1,input_size=5",
    "linear:in_features=3,out_features=5,init=kaiming_uniform",
    "linear:in_features=100000,out_features=100000",
    "layer_norm:normalized_shape=3,eps=0",
    "layer_norm:normalized_shape=2,eps=0",
    "batch_norm:batch_size=2,eps=0",
    "dropout:p=0",
    "threshold:threshold=0.001,value=0",
    "elu:alpha=1e-9",
    "softplus:beta=10",
    "rrelu:lower=0.1,upper=0.9",
    "fractional_max_pool2d:input_size=7,kernel_size=2,output_size=3",
    "adaptive_avg_pool1d:input_size=7,output_size=4",
    "torch.nn.ReLU6",
    "jax.nn.silu",
    "keras.leaky_relu",
    "flax.nnx.gelu",
    "nn.GELU",
    "Hardsigmoid",
    *(f"acts:{name}" for name in ("wave", "wave:k=3", "tanh_pair", "leaky", "step", "growing")),
]


def commands(specs: list[str], sets: list[str]) -> Iterator[Command]:
    """Yield every command; specs and sets are those of the base."""
    for spec in [*specs, *MORE_SPECS]:
        yield ["compute", spec, *N]
        yield ["compute", spec, *N, "--json", "--dtype", "float32", "--seed", "3"]
        yield ["compute", spec, *N, "--direction", "forward", "--json"]
        yield ["compute", spec, *N, "--direction", "backward", "--dtype", "float32"]
        yield ["compute", spec, *N, "--sampler", "sobol", "--json"]
        yield ["compute", spec, *N, "--x-mean", "0.5", "--x-std", "2", "--dy-std", "3", "--json"]
        yield ["exact", spec]
        yield ["exact", spec, "--json"]
        yield ["exact", spec, "--json", "--x-mean", "-1", "--x-std", "0.5", "--dy-std", "2"]
        yield ["show", spec]
    for spec in ("relu", "acts:leaky"):
        yield ["compute", spec, *N, "--sampler", "sobol", "--dtype", "float32"]
    several = ["relu", "max_pool2d:kernel_size=2", "layer_norm", "acts:wave", "elu:alpha=2"]
    for form in FORMATS:
        yield ["compute", *several, *N, "--format", form]
        yield ["compute", *several, *N, "--format", form, "--direction", "forward"]
        yield ["exact", *several, "--format", form]
    for name in sets:
        yield ["show", name]
        yield ["verify", name, *N]
    for form in ("text", "json", "github", "junit"):
        yield ["verify", "feng2016", "torch", *N, "--format", form]
        yield ["verify", "own.toml", "own.json", "own.csv", *N, "--format", form]
    for more in (["--diff"], ["--diff", "--digits", "4"], ["--exit-zero"], ["--allow-undecided"]):
        yield ["verify", "own.toml", "own.json", "own.csv", "fixed.toml", *N, *more]
    yield ["verify", "fixed.toml", *N, "--fix"]
    yield ["verify", "own.toml", "own.json", "own.csv", "-n", "1e5", "--workers", "1", "--fix"]
    yield []
    for line in Path(__file__).with_suffix(".txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield shlex.split(line)


def play() -> None:
    """Run the commands that stand on stdin, as JSON, and write their records on stdout."""
    given = json.load(sys.stdin)
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    main = importlib.import_module("bnstats.cli.main").main
    for argv in given:
        out, err = _stream(), _stream()
        sys.argv = ["bnstats", *argv]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(argv)
            except BaseException as error:  # a record is what happened, whatever that is
                code = f"{type(error).__name__}: {error}"
        record = {"argv": argv, "code": code, "out": _text(out), "err": _text(err)}
        print(json.dumps(record), file=report, flush=True)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")


# Layers and claim sets of an installation, by modules that have never moved.
_CATALOGUE = """
import json
from bnstats.claims import set_names
from bnstats.layers import LAYERS
specs = [f"{name}:{text}" if text else name
         for name, layer in LAYERS.items() for text in layer.examples or ("",)]
print(json.dumps([specs, sorted(set_names())]))
"""


def _environment() -> dict[str, str]:
    unwanted = ("NO_COLOR", "FORCE_COLOR", "TERM", "PYTHONPATH", "GITHUB_STEP_SUMMARY")
    kept = {k: v for k, v in os.environ.items() if k not in unwanted}
    return kept | {"COLUMNS": "100", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def start(python: str, folder: Path, given: list[Command]) -> subprocess.Popen[str]:
    """Start an installation on its commands, in a folder of its own."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    asked = folder / "commands"
    asked.write_text(json.dumps(given))
    with open(asked) as source, open(folder / "records", "w") as sink:
        code = f"import runpy; runpy.run_path({__file__!r})['play']()"
        return subprocess.Popen(
            [python, "-c", code], stdin=source, stdout=sink, cwd=folder, env=_environment()
        )


def records(folder: Path, known: list[tuple[str, str]]) -> dict[str, Record]:
    """Return what the commands left, by command, and the files as if a command had printed them."""
    lines = (folder / "records").read_text("utf-8").splitlines()
    found = {}
    for i, line in enumerate(lines):
        record = json.loads(line)
        found[f"{i:05d} bnstats {shlex.join(record['argv'])}"] = record
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.name not in ("records", "commands", "acts.py"):
            text = path.read_bytes().decode("utf-8", "replace")
            found[f"file {path.relative_to(folder)}"] = {"code": 0, "out": text, "err": ""}
    for record in found.values():
        for stream in ("out", "err"):
            record[stream] = _masked(record[stream], folder, known)
    return found


def _masked(text: str, folder: Path, known: list[tuple[str, str]]) -> str:
    text = text.replace(str(folder), "FOLDER")
    text = re.sub(r"\S*bnstats-\w+\.log", "LOG", text)
    text = re.sub(r"(?<=· )[\d.,]+ (?:s|min|h)$", "TIME", text, flags=re.MULTILINE)
    for pattern, replacement in known:
        text = re.sub(pattern, replacement, text)
    return text


def differences(base: Record, new: Record) -> Iterator[str]:
    """Yield what differs between two records of a command, changed lines together."""
    if base["code"] != new["code"]:
        yield f"  exit code {base['code']} -> {new['code']}"
    for stream in ("out", "err"):
        a, b = base[stream].splitlines(), new[stream].splitlines()
        if a == b and base[stream] != new[stream]:
            yield f"  {stream}: only line ends differ"
        for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if tag != "equal":
                lines = [*(f"  - {x}" for x in a[i:j]), *(f"  + {x}" for x in b[k:m])]
                yield "\n".join([f"  {stream}:", *lines[:24]])


def compare(base: dict[str, Record], new: dict[str, Record]) -> int:
    """Print what differs, each difference once, and return in how many commands something does."""
    where: dict[str, list[str]] = {}
    for name in [*base, *(name for name in new if name not in base)]:
        if name not in base or name not in new:
            found = [f"  only in the {'base' if name in base else 'new'}"]
        else:
            found = list(differences(base[name], new[name]))
        for difference in found:
            where.setdefault(difference, []).append(name)
    for difference, names in sorted(where.items(), key=lambda item: item[1]):
        print(f"{names[0]}" + (f"  and {len(names) - 1} more" if names[1:] else ""))
        print(difference)
    differing = {name for names in where.values() for name in names}
    print(f"{len(base)} commands and files, {len(differing)} differ, in {len(where)} ways")
    return len(differing)


def main(arguments: list[str]) -> int:
    """Compare two installations; see the module's text."""
    options, pythons, at = {"--known": [], "--only": []}, [], iter(arguments)
    for argument in at:
        if argument in options:
            options[argument].append(next(at))
        else:
            pythons.append(argument)
    if len(pythons) != 2:
        print(__doc__)
        return 2
    known = [(p, t) for p, _, t in (text.partition("=") for text in options["--known"])]
    begun = time.monotonic()
    catalogue = subprocess.run(
        [pythons[0], "-c", _CATALOGUE], capture_output=True, check=True, env=_environment(), cwd="/"
    )
    specs, sets = json.loads(catalogue.stdout)
    given = [c for c in commands(specs, sets) if all(w in shlex.join(c) for w in options["--only"])]
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, name) for name in ("base", "new")]
        for folder in folders:
            folder.mkdir()
        running = [start(p, f, given) for p, f in zip(pythons, folders, strict=True)]
        codes = [process.wait() for process in running]
        if any(codes):
            print(f"a player died: exit codes {codes}", file=sys.stderr)
        base, new = (records(folder, known) for folder in folders)
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    return 1 if compare(base, new) or any(codes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
