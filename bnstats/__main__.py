"""The program's start: ``python -m bnstats`` and ``bnstats``."""

import signal
import sys


def main() -> int:
    """Load the program and run it; until it is loaded Ctrl-C ends the process without a word."""
    loud = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if loud:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bnstats.cli.main import main as run

    if loud:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
