"""The committed tables in results/: how they are built, rendered and checked."""
