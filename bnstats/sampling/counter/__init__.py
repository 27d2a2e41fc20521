"""Independent draws on an accelerator: from a counter to power sums, fused by the backend."""

from bnstats.sampling.counter.devices import accelerated

__all__ = ["accelerated"]
