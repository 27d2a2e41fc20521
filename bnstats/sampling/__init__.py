"""The Monte Carlo engine: from settings to merged moments."""
