"""What every command has: examples, and options that may stand anywhere, also before it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from typing import Any

import click

from bnstats.cli.console import Console

# Every command, in the order in which --help lists them, with lines that can be typed.
EXAMPLES = {
    "compute": (
        "compute gelu",
        "compute max_pool2d:kernel_size=3,stride=2 -n 1e8",
        "compute relu gelu silu --format latex --output gains.tex",
        "compute tanh --precision 1e-4 --max-time 60s --json",
        "compute acts:soft_step:alpha=2      soft_step(x, *, alpha) of acts.py",
    ),
    "exact": (
        "exact gelu silu",
        "exact tanh --x-std 1.5",
        "exact gelu --get gain_y.exact.value",
    ),
    "sweep": (
        "sweep tanh --over x_std=0.1:10:log --quantity linear_share gain_y --plot tanh.svg",
        "sweep relu leaky_relu --over x_mean=-1:1",
        "sweep sigmoid --over x_std=0.1:10:log --find std_y=0.2",
    ),
    "critical": ("critical tanh --bias-std 0.2", "critical gelu --json"),
    "propagate": (
        "propagate linear relu --width 256 --depth 30",
        "propagate linear tanh --scale forward --require steady",
    ),
    "table": ("table", "table --check", "table constants --out mine"),
    "verify": (
        "verify nfnets",
        "verify constants.toml --diff",
        "verify constants.toml --format junit --output report.xml",
    ),
    "merge": ("merge part*.json", "merge part*.json --json"),
    "list": ("list", "list leaky", "list --family gated", "list claims"),
    "show": ("show gelu", "show torch.nn.LeakyReLU", "show nfnets"),
    "completion": (
        "completion bash >> ~/.bashrc",
        "completion zsh >> ~/.zshrc",
        "completion fish > ~/.config/fish/completions/bnstats.fish",
    ),
    "help": ("help compute", "help conventions"),
    "version": ("version",),
}


def _heard(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Make the console anew with what this option says, if it was typed."""
    asked = ctx.meta.setdefault(__name__, {})
    if value:
        asked[param.name] = value
    ctx.obj = Console.of(**asked)


def _into_file(ctx: click.Context, param: click.Parameter, name: str | None) -> None:
    """Let data go to a file, which is written when the command ends, if there are any."""
    if name is None:
        return
    from pathlib import Path  # slow for --version

    from bnstats.sampling.files import check_writable, write_atomically

    path = Path(name)
    check_writable(path)
    file = TextIOWrapper(BytesIO(), encoding="utf-8", newline="")

    def write() -> None:
        file.seek(0)
        if text := file.read():
            write_atomically(path, text)

    ctx.find_root().call_on_close(write)
    ctx.meta.setdefault(__name__, {})["stdout"] = file
    ctx.obj = Console.of(**ctx.meta[__name__])


def _options() -> list[click.Option]:
    def option(
        *names: str, callback: Callable[..., Any] | None = _heard, **settings: Any
    ) -> click.Option:
        return click.Option(names, callback=callback, expose_value=False, is_eager=True, **settings)

    return [
        option("-q", "--quiet", is_flag=True, help="Print no warnings and no progress."),
        option("-v", "--verbose", is_flag=True, callback=None, help="Print tracebacks of errors."),
        option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            help="When to colour stdout; auto, the default, colours a terminal.",
        ),
        option(
            "--ascii",
            is_flag=True,
            callback=None,
            help="Print σ as sigma, and so on: nothing but ASCII.",
        ),
        option(
            "-o",
            "--output",
            metavar="FILE",
            type=click.Path(),
            callback=_into_file,
            help="Write to this file what would be printed on stdout.",
        ),
    ]


def with_everywhere(command: click.Command) -> click.Command:
    """Give a command the options that may stand anywhere; --help lists them last, then examples."""
    known = {name for param in command.params for name in param.opts}
    if "--quiet" not in known:
        command.params += _options()
        if lines := EXAMPLES.get(command.name or ""):
            command.epilog = "\n".join(
                ["\b", "Examples:", *(f"  bnstats {line}" for line in lines)]
            )
    return command
