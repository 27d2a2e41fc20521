"""The audit of published constants: every claim beside the truth, and what errors do to a stack."""
