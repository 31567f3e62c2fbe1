"""`python -m vmaf_jax`: the same as the console program `vmaf-jax`."""

from vmaf_jax.cli import main

if __name__ == "__main__":
    main()
