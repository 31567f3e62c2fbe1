"""Corpora: which clips exist, and where their files lie."""
