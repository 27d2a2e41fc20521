"""The committed tables in results/: built, rendered and checked."""
