"""`vmaf-jax train` as a script: the same flags, the same function."""

import sys

del sys.path[0]  # this folder, whose select.py would stand in for the standard library's
from vmaf_jax.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
