"""The static site: every page, every link, and how its folder is written."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

import mpmath as mp
import pytest
from cli_support import ROOT, Cli, environment, spawn

from bnstats.claims import claim_sets
from bnstats.documents.read import CONSTANTS, read_constants
from bnstats.errors import BnstatsError, HostError
from bnstats.layers import LAYERS
from bnstats.sampling.watch import Watch
from bnstats.tables.site import build as site_build
from bnstats.tables.site import content
from bnstats.tables.site.build import CITATION, build

RESULTS = Path(ROOT) / "results"
