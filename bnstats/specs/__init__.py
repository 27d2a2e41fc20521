"""What a name means: a spec, and the names of other libraries."""
