"""The configurations that the documentation shows are JSON, and start a server that answers."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from tests.serving.support import Family
from tests.serving.test_http import serving

PAGE = Path("docs/mcp.md").read_text()
SAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.S)]
SERVERS = [sample["mcpServers"]["vmaf-jax"] for sample in SAMPLES]


def here(value, folder):
    """The sample with this machine's folder in place of `/videos`."""
    return json.loads(json.dumps(value).replace("/videos", str(folder)))


def test_there_are_samples_of_both_transports():
    assert [("command" in server, "url" in server) for server in SERVERS] == [
        (True, False),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("sample", [s for s in SERVERS if "command" in s], ids=str)
def test_a_sample_for_stdio_starts(sample, encodes):
    server = here(sample, encodes)
    program = shutil.which(server["command"], path=Path(sys.executable).parent)
    environment = {name: os.environ[name] for name in ("VMAF_JAX_CACHE",)}
    parameters = StdioServerParameters(
        command=program, args=server["args"], env={**environment, **server.get("env", {})}
    )

    async def check():
        async with Client(parameters) as client:
            assert str(encodes) in (client.instructions or "")
            arguments = {"reference": "absent.y4m", "distorted": "ref.y4m"}
            result = await client.call_tool("vmaf_score", arguments)
            assert "no such file below" in result.content[0].text

    asyncio.run(check())


def test_the_sample_for_http_starts(encodes):
    (url,) = [server["url"] for server in SERVERS if "url" in server]
    with serving(encodes, Family()) as port:

        async def check():
            async with Client(url.replace("8765", str(port))) as client:
                assert (await client.list_prompts()).prompts

        asyncio.run(check())
