"""The health check of the MCP server, over stdio with the SDK's own client.

pytest tests/serving/test_mcp_smoke.py
"""

import asyncio

import pytest

from tests.serving.support import stdio

TOOLS = {
    *("vmaf_score", "list_models", "list_backends", "eval_model_on_split", "compare_models"),
    *("describe_worst_frames", "run_benchmark", "train_model", "export_model"),
    *("rank", "extract", "import", "ladder", "encode", "check_table"),
    *("suggest_clips", "calibrate", "quality_maps"),
}


def test_tools_models_and_backends_are_listed(server):
    tools = server.portal.call(server.client.list_tools).tools
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.description and tool.output_schema for tool in tools)
    models = {model["name"] for model in server.answer("list_models")["models"]}
    assert {"tiny", "nano", "rbf", "vmaf_v0.6.1"} <= models
    backends = server.answer("list_backends")["backends"]
    assert "libvmaf" in {backend["name"] for backend in backends if backend["live"]}


def test_the_golden_pair_scores_as_published(golden):
    folder, expected = golden
    pair = expected["pairs"][0]

    async def check():
        async with stdio(folder) as client:
            arguments = {
                "reference": pair["reference"],
                "distorted": pair["distorted"],
                "width": expected["width"],
                "height": expected["height"],
                "pix_fmt": "yuv420p10le",
                "per_frame": True,
            }
            result = await client.call_tool("vmaf_score", arguments)
            assert not result.is_error, result.content
            scored = result.structured_content
            assert scored["score"] == pytest.approx(pair["vmaf"], abs=1e-2)
            assert scored["features"]["adm2"] == pytest.approx(pair["adm2"], abs=1e-4)
            assert len(scored["frames"]) == expected["frames"]

    asyncio.run(check())
