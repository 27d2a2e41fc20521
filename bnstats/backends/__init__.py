"""Array libraries that can run the formulas; each is a namespace ``xp`` and little more."""
