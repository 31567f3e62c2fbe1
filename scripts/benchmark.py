"""`vmaf-jax bench` as a script: the same flags, the same function."""

import sys

from vmaf_jax.cli import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]])
