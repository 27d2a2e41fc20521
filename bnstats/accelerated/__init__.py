"""Independent draws on an accelerator: from a counter to power sums, fused by the backend."""

from bnstats.accelerated.lanes import accelerated

__all__ = ["accelerated"]
