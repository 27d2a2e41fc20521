"""The table of whole networks: activations scaled in either direction, drawn, beside theory."""
