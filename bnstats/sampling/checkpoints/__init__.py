"""Moments in files: what a run leaves behind so that no draw is made twice."""
