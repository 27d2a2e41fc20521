"""Checkpoints in tests."""

from __future__ import annotations

import pytest

from bnstats.sampling.checkpoints import folder


def write_after_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every chunk written as soon as it is drawn, however long that takes."""
    monkeypatch.setattr(folder, "SECONDS", 0.0)
    monkeypatch.setattr(folder, "_MOST_OF_THE_TIME", 1e9)
