"""`vmaf-jax evaluate` as a script: the same flags, the same function."""

import sys

from vmaf_jax.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
