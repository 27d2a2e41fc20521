"""Checks of claims and of committed constants by exact values and fresh draws."""
