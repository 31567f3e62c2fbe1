"""Which network and which training: a grid, its figures, and what they say."""
