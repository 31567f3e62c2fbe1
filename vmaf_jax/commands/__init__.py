"""Commands: one a file; each parses its flags, calls one job and renders the result."""
