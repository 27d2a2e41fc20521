"""Whole networks at initialisation: what wide ones do, and what drawn ones did."""
