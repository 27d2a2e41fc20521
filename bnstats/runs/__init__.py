"""Runs: from a layer to a result, whole or in parts, and what may be wrong with it."""
