"""bnstats version: what a report of a bug should say."""

from __future__ import annotations

import click

from bnstats.cli.console import Console


@click.command("version")
@click.pass_obj
def command(console: Console) -> None:
    """Print the versions that a report of a bug should name."""
    import platform
    from importlib import metadata

    from bnstats.version import __version__

    console.out(f"bnstats {__version__}")
    console.out(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in ("numpy", "scipy", "torch", "jax", "matplotlib", "distributed"):
        try:
            console.out(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
