"""Quantities, moments, exact values and estimates."""
