"""The command line that every benchmark of this folder has, and times of processes."""

import argparse
import inspect
import resource
import subprocess
import sys
from collections.abc import Callable

from vmaf_jax.benchmarks.timing import Figures, to_lines
from vmaf_jax.errors import InputError
from vmaf_jax.files import to_json


def run(benchmark: Callable[[int], Figures]) -> int:
    """Runs a benchmark as the command line says and prints its figures; returns the exit code."""
    default = inspect.signature(benchmark).parameters["repeats"].default
    parser = argparse.ArgumentParser(description=(inspect.getdoc(benchmark) or "").split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=default, help="samples of each subject")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    try:
        figures = benchmark(options.repeats)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(to_json(figures) if options.json else "\n".join(to_lines(figures)))
    return 0


def processor_s(*who: int) -> float:
    """Returns the processor seconds used by now, all in all.

    Args:
        who: `resource.RUSAGE_SELF` for this process, `RUSAGE_CHILDREN` for those that ended.
    """
    used = map(resource.getrusage, who)
    return sum(part.ru_utime + part.ru_stime for part in used)


def run_python(code: str, *arguments: str) -> tuple[list[float], str]:
    """Runs code in a new Python; returns the numbers that it prints, and its standard error.

    Raises:
        InputError: It fails.
    """
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"a Python failed: {done.stderr.strip().splitlines()[-1]}")
    return list(map(float, done.stdout.split())), done.stderr.strip()
