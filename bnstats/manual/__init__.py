"""The manual: one topic a file in Markdown, for `bnstats help` and for the web."""

from __future__ import annotations

from importlib import resources


def topics() -> dict[str, str]:
    """Return the titles of the topics by name, in the order of the names."""
    found = (file for file in resources.files(__name__).iterdir() if file.name.endswith(".md"))
    return {
        file.name.removesuffix(".md"): file.read_text("utf-8").partition("\n")[0].lstrip("# ")
        for file in sorted(found, key=lambda file: file.name)
    }


def text(topic: str) -> str:
    """Return a topic as Markdown.

    Raises
    ------
    FileNotFoundError
        If there is no such topic.
    """
    return resources.files(__name__).joinpath(f"{topic}.md").read_text("utf-8")
