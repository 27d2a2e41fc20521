"""Stacks whose layers have shapes: convolutions, pools, norms and softmax, with their matrices."""
