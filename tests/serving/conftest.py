"""A server for the tests that do not break theirs, and a client that plain functions can call."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest
from mcp import Client

from tests.serving.support import Family, parameters
from vmaf_jax.serving.path_policy import Settings


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        folder, out: where it reads and writes.
        family: it and its workers.
    """

    portal: Any
    client: Any
    folder: Path
    out: Path
    family: Family

    def call(self, tool, **arguments):
        """The result of a call, which may be a tool error."""
        return self.portal.call(self.client.call_tool, tool, arguments)

    def answer(self, tool, **arguments):
        """The structured content of a call that succeeds."""
        result = self.call(tool, **arguments)
        assert not result.is_error, result.content
        content = result.structured_content
        brief = {name: value for name, value in content.items() if name != "frames"}
        assert json.loads(result.content[0].text) == brief  # each frame is sent once
        return content

    def refusal(self, tool, **arguments):
        """The text of a call's tool error."""
        result = self.call(tool, **arguments)
        assert result.is_error, result.structured_content
        (content,) = result.content
        assert "Traceback" not in content.text
        assert "\n" not in content.text
        return content.text


@pytest.fixture(scope="session")
def server(tmp_path_factory, encodes, endless):
    """A server over stdio that may read the folders of the encodes and of the endless pair."""
    out = tmp_path_factory.mktemp("written")
    family = Family()
    flags = ("--allow", endless, "--out", out, "--workers", 1)
    start = parameters(encodes, *flags, **family.environment)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(start)) as client,
    ):
        yield Server(portal, client, encodes, out, family)


@pytest.fixture(scope="session")
def endless(tmp_path_factory):
    """A folder with a raw pair that takes very long to measure; the files take no room."""
    folder = tmp_path_factory.mktemp("endless")
    for name in ("ref.yuv", "dis.yuv"):
        with (folder / name).open("wb") as file:
            file.truncate(640 * 360 * 3 // 2 * 40_000)
    return folder


@pytest.fixture(scope="session")
def table(encodes, support_vectors):
    """A feature table below the folder that the server may read."""
    path = encodes / "table.parquet"
    support_vectors.write(path)
    return path


def endless_score(folder):
    """Arguments of a score of the endless pair."""
    paths = {"reference": str(folder / "ref.yuv"), "distorted": str(folder / "dis.yuv")}
    return {**paths, "width": 640, "height": 360, "pix_fmt": "yuv420p"}


Y4M = b"YUV4MPEG2 W16 H16 F25:1 C420\nFRAME\n" + bytes(384)


@pytest.fixture
def places(tmp_path):
    """An allowed folder with a video, and a secret beside it."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "a.y4m").write_bytes(Y4M)
    (tmp_path / "secret.y4m").write_bytes(Y4M)
    (tmp_path / "allowed-not").mkdir()
    (tmp_path / "allowed-not" / "a.y4m").write_bytes(Y4M)
    return Settings((allowed,), tmp_path / "out", max_bytes=1 << 30)
