"""Commands, one a module: each parses its options, calls one job and renders the result.

Jobs are imported inside the functions, so that `--help` and a mistyped word load no JAX.
"""
