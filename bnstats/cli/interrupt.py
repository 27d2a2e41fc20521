"""Ctrl-C: the first one asks for the partial result, the second leaves at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_NOTICE = b"\ninterrupted: finishing the chunk; once more to leave at once\n"


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed."""
    pressed = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        # Past the buffer: the signal may have come while the progress bar was writing to it,
        # and Python refuses to enter a buffer twice.
        with suppress(OSError):
            os.write(sys.stderr.fileno(), _NOTICE)

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as under nohup
        yield lambda: False
        return
    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, previous)
