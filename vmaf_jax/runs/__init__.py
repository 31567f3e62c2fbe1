"""From a configuration to a run folder: problem, fit, saved state, sweep, conclusion."""
