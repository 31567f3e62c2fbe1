"""The MCP server: tools, resources and prompts on a connection, calls handed to workers.

This process stays light: it checks what it is sent, and never imports JAX. Errors of a call are
tool errors, in one line with the mend; what is no call of a known kind is a protocol error.
"""

import contextlib
import functools
import json
from collections.abc import AsyncIterator
from importlib import metadata
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from vmaf_jax.errors import InputError
from vmaf_jax.serving.catalogue import TOOLS, Tool
from vmaf_jax.serving.long_results import PART, LongResults
from vmaf_jax.serving.pool import Pool, open_pool
from vmaf_jax.serving.prompts import get_prompt, list_prompts
from vmaf_jax.serving.requests import checked, parse
from vmaf_jax.serving.resources import list_resources, list_templates, read
from vmaf_jax.serving.settings import Settings
from vmaf_jax.serving.texts import encodable

_INSTRUCTIONS = (
    "Full-reference video quality: scores a distorted video against its reference with VMAF or one "
    "of its students, and trains, compares and exports students. Files are read below {allow}, "
    "relative paths below the first of these, and written below {out}."
)


def make_server(settings: Settings) -> Server[Pool]:
    """A server within `settings`; a transport runs it."""
    long_results = LongResults()

    @contextlib.asynccontextmanager
    async def lifespan(server: Server[Pool]) -> AsyncIterator[Pool]:
        async with open_pool(settings) as pool:
            yield pool

    async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_listed(tool) for tool in TOOLS.values()])

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        async def progress(step: float, message: str) -> None:
            await ctx.session.report_progress(step, None, message)

        try:
            answer = await _call(
                params.name, params.arguments or {}, settings, ctx.lifespan_context, progress
            )
            return _rendered(answer, long_results)
        except InputError as error:
            line = encodable(" ".join(str(error).split()))
            text = types.TextContent(type="text", text=line)
            return types.CallToolResult(content=[text], is_error=True)

    async def resources(ctx: Any, params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=list_resources())

    async def templates(ctx: Any, params: Any) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=list_templates())

    async def read_resource(
        ctx: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        with _protocol_errors():
            return types.ReadResourceResult(contents=[read(str(params.uri), long_results)])

    async def prompts(ctx: Any, params: Any) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=list_prompts())

    async def prompt(ctx: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        with _protocol_errors():
            return get_prompt(params.name, params.arguments or {})

    allow, out = (
        encodable(text) for text in (", ".join(map(str, settings.allow)), str(settings.out))
    )
    return Server(
        "vmaf-jax",
        version=metadata.version("vmaf-jax"),
        title="vmaf-jax",
        instructions=_INSTRUCTIONS.format(allow=allow, out=out),
        lifespan=lifespan,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=resources,
        on_list_resource_templates=templates,
        on_read_resource=read_resource,
        on_list_prompts=prompts,
        on_get_prompt=prompt,
    )


async def _call(
    name: str, arguments: dict[str, Any], settings: Settings, pool: Pool, progress: Any
) -> dict[str, Any]:
    """The answer of a worker to a call.

    Raises:
        InputError: no such tool, bad arguments, files that may not be used, or the call failed.
    """
    tool = TOOLS.get(name)
    if tool is None:
        raise InputError(f"no tool {name[:200]!r}; there are {', '.join(TOOLS)}.")
    request = checked(parse(tool.request, arguments), settings)
    plain = request.model_dump(mode="json")
    return await pool.run(name, plain, progress, long=tool.long, ends_worker=tool.ends_worker)


def _rendered(answer: dict[str, Any], long_results: LongResults) -> types.CallToolResult:
    """An answer as content: its JSON, its pictures, a link to the frames that do not fit."""
    result = answer["result"]
    link: list[types.ContentBlock] = []
    if len(result.get("frames", ())) > PART:
        uri = long_results.add(result["frames"])
        result = {**result, "frames": result["frames"][:PART], "next": uri}
        if uri is not None:
            link.append(
                types.ResourceLink(
                    type="resource_link",
                    uri=uri,
                    name="the frames that follow",
                    mime_type="application/json",
                )
            )
    # Each frame goes over the wire once, in the structured content.
    brief = {name: value for name, value in result.items() if name != "frames"}
    text = types.TextContent(type="text", text=json.dumps(brief))
    pictures = [
        types.ImageContent(type="image", data=picture, mime_type="image/png")
        for picture in answer["pictures"]
    ]
    return types.CallToolResult(content=[text, *pictures, *link], structured_content=result)


@functools.cache
def _schemas(tool: Tool) -> tuple[dict[str, Any], dict[str, Any]]:
    request = tool.request.model_json_schema()
    return request, tool.result.model_json_schema(mode="serialization")


def _listed(tool: Tool) -> types.Tool:
    request, result = _schemas(tool)
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=request,
        output_schema=result,
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.writes,
            destructive_hint=tool.writes,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


@contextlib.contextmanager
def _protocol_errors() -> Any:
    """Turns a bad request for a resource or a prompt into an error of the protocol."""
    try:
        yield
    except InputError as error:
        raise MCPError(types.INVALID_PARAMS, encodable(str(error))) from error
