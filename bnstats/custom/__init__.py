"""Layers of the user's own: a function named by its path, installed by a package, or registered."""

from bnstats.custom.finding import Installed, installed, load, read
from bnstats.custom.registering import register

__all__ = ["Installed", "installed", "load", "read", "register"]
