"""``python -m bnstats`` is ``bnstats``."""

import sys

from bnstats.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
