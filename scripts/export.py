"""`vmaf-jax export` as a script: the same flags, the same function."""

import sys

from vmaf_jax.cli import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
