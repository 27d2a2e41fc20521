"""Ending a run early: Ctrl-C, SIGTERM and SIGHUP ask for the partial result.

Only a second Ctrl-C leaves at once: `timeout` and shells send the other two twice as a matter of
course.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_Handler = Callable[[int, FrameType | None], object]

_NOTICE = b"\ninterrupted: finishing the chunk; once more to leave at once\n"
_OTHERS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether the run was asked to end."""
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        asked = True
        # Past the buffer: the signal may have come while the progress bar was writing to it,
        # and Python refuses to enter a buffer twice.
        with suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), _NOTICE)

    with _handled((signal.SIGINT, *_OTHERS), on_signal):
        yield lambda: asked


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Have SIGTERM and SIGHUP leave as Ctrl-C does, so that nothing half done stays behind."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(_OTHERS, on_signal):
        yield


@contextmanager
def _handled(signals: Iterable[int], handler: _Handler) -> Iterator[None]:
    """Handle signals, but for those that are ignored, as under nohup; only the main thread can."""
    before = {}
    try:
        with suppress(ValueError):  # in another thread, to which no signal comes
            for number in signals:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
