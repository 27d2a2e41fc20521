"""Independent draws on an accelerator: from a counter to power sums, fused by the backend."""
