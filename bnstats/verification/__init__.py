"""Checks of claims and of committed constants against exact values and fresh draws."""
