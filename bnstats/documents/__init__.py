"""Results documents: written, read, described by a schema."""
