"""The cost of the MCP server: its start, and a call beside the same score in process.

    python -m benchmarks.mcp_server [--repeats 31] [--json]

The pair is measured before, so both sides look it up, score and answer: the difference is the
protocol's cost. Calls alternate.
"""

import subprocess
import sys

from benchmarks.command import run
from vmaf_jax.benchmarks.scoring import raw_pair
from vmaf_jax.benchmarks.timing import Figures, machine, sample
from vmaf_jax.errors import InputError
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.score import score

MODEL = "tiny"
_SIZE = (576, 324)
_START = [sys.executable, "-m", "vmaf_jax", "mcp", "--workers", "1"]


def bench_mcp(repeats: int = 31) -> Figures:
    """Times a server's first answer, and a score by call and in process.

    Raises:
        InputError: The MCP SDK is not installed, or a call fails.
    """
    try:
        import anyio.from_thread
        from mcp import Client, StdioServerParameters
    except ImportError as error:
        raise InputError("the MCP SDK is not installed: pip install '.[mcp]'.") from error
    with raw_pair(*_SIZE) as (reference, distorted):
        folder = reference.path.parent
        command = [*_START, "--allow", str(folder), "--out", str(folder / "out")]
        start = StdioServerParameters(
            command=command[0], args=command[1:], env={"VMAF_JAX_CACHE": str(folder)}
        )
        model = load_model(MODEL)

        def in_process() -> None:
            score(reference, distorted, model, cache=folder / "features")

        with (
            anyio.from_thread.start_blocking_portal() as portal,
            portal.wrap_async_context_manager(Client(start)) as client,
        ):
            request = {
                "reference": str(reference.path),
                "distorted": str(distorted.path),
                "width": _SIZE[0],
                "height": _SIZE[1],
                "pix_fmt": "yuv420p",
                "model": MODEL,
            }

            def call() -> None:
                result = portal.call(client.call_tool, "vmaf_score", request)
                if result.is_error:
                    raise InputError(f"mcp: {result.content[0].text}")

            times = sample({"call": call, "in process": in_process}, repeats)
        starts = sample(
            {
                "first answer": lambda: _first_answer(command),
                "python, nothing imported": lambda: subprocess.run(
                    [sys.executable, "-c", ""], check=True
                ),
            },
            max(1, repeats // 6),
        )
    added = times["call"].median_s - times["in process"].median_s
    return {"machine": machine(), "score": times, "added_s": added, "start": starts}


def _first_answer(command: list[str]) -> None:
    """Starts a server, waits until it answers, and closes it."""
    line = (
        b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
        b'"capabilities":{},"clientInfo":{"name":"bench","version":"0"}}}\n'
    )
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if process.stdin is not None and process.stdout is not None:
            process.stdin.write(line)
            process.stdin.flush()
            process.stdout.readline()
    finally:
        process.kill()  # its workers end by themselves
        process.communicate()


if __name__ == "__main__":
    sys.exit(run(bench_mcp))
