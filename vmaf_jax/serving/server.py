"""The MCP server: tools, resources and prompts on a connection; workers run the calls.

This process stays light: it checks requests and never imports JAX. An error of a call is a tool
error, one line with the fix; a message that is no call of a known kind is a protocol error.
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import metadata
from typing import Any

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from vmaf_jax.errors import InputError
from vmaf_jax.printable import escape_surrogates
from vmaf_jax.serving.path_policy import Settings
from vmaf_jax.serving.pool import Message, Pool, open_pool
from vmaf_jax.serving.requests import TOOLS, Tool, parse_request
from vmaf_jax.serving.resources import (
    PART,
    SCHEME,
    TEMPLATE,
    LongResults,
    list_pages,
    page_title,
    read_resource,
)

_INSTRUCTIONS = (
    "Full-reference video quality: scores a distorted video against its reference with VMAF or one "
    "of its students, and trains, compares and exports students. Files are read below {allow}, "
    "relative paths below the first of these, and written below {out}."
)
_FRAMES = types.ResourceTemplate(
    uri_template=TEMPLATE,
    name="frames",
    title="Frames of a long result",
    description="A part of the frames of a score that did not fit its answer, as JSON.",
    mime_type="application/json",
)

Context = ServerRequestContext[Pool]
Page = types.PaginatedRequestParams | None  # which page is asked for; every list here is one page


def make_server(settings: Settings) -> Server[Pool]:
    """Makes a server within `settings`, which a transport runs."""
    handlers = _Handlers(settings)

    @contextlib.asynccontextmanager
    async def lifespan(server: Server[Pool]) -> AsyncIterator[Pool]:
        async with open_pool(settings) as pool:
            yield pool

    allow = escape_surrogates(", ".join(map(str, settings.allow)))
    out = escape_surrogates(str(settings.out))
    return Server(
        "vmaf-jax",
        version=metadata.version("vmaf-jax"),
        title="vmaf-jax",
        instructions=_INSTRUCTIONS.format(allow=allow, out=out),
        lifespan=lifespan,
        # Without it a call over HTTP would list the tools first, and so wait for a worker.
        get_tool_input_schema=lambda name: TOOLS[name].input_schema if name in TOOLS else None,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
    )


class _Handlers:
    """The requests that the server answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._long_results = LongResults()

    async def list_tools(self, ctx: Context, page: Page) -> types.ListToolsResult:
        with _protocol_errors(types.INTERNAL_ERROR):
            schemas = await ctx.lifespan_context.schemas()
        tools = [_list_tool(tool, schemas[tool.name]) for tool in TOOLS.values()]
        return types.ListToolsResult(tools=tools)

    async def call_tool(
        self, ctx: Context, call: types.CallToolRequestParams
    ) -> types.CallToolResult:
        async def on_progress(step: float, message: str) -> None:
            await ctx.session.report_progress(step, None, message)

        tool = TOOLS.get(call.name)
        try:
            if tool is None:
                raise InputError(f"no tool {call.name[:200]!r}; there are {', '.join(TOOLS)}.")
            request = parse_request(tool.request, call.arguments or {}, self._settings)
            arguments = request.model_dump(mode="json", by_alias=True)
            answer = await ctx.lifespan_context.run(tool, arguments, on_progress)
            return _render_answer(answer, tool, self._long_results)
        except InputError as error:
            line = _name_arguments(escape_surrogates(" ".join(str(error).split())), tool)
            text = types.TextContent(type="text", text=line)
            return types.CallToolResult(content=[text], is_error=True)

    async def list_resources(self, ctx: Context, page: Page) -> types.ListResourcesResult:
        resources = [
            types.Resource(
                uri=uri,
                name=uri.removeprefix(SCHEME),
                title=page_title(path),
                mime_type="text/markdown",
            )
            for uri, path in list_pages().items()
        ]
        return types.ListResourcesResult(resources=resources)

    async def list_templates(self, ctx: Context, page: Page) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[_FRAMES])

    async def read_resource(
        self, ctx: Context, request: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        with _protocol_errors(types.INVALID_PARAMS):
            mime_type, text = read_resource(str(request.uri), self._long_results)
        content = types.TextResourceContents(uri=request.uri, mime_type=mime_type, text=text)
        return types.ReadResourceResult(contents=[content])

    async def list_prompts(self, ctx: Context, page: Page) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=list_prompts())

    async def get_prompt(
        self, ctx: Context, request: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        with _protocol_errors(types.INVALID_PARAMS):
            return get_prompt(request.name, request.arguments or {})


# An option, or what has none to replace: a command line, whole, and a name of a file.
_OPTION = re.compile(r"`vmaf-jax [^`]*`|(?<![\w/-])--([a-z]+(?:-[a-z]+)*)(?![\w-]|\.\w)")


def _name_arguments(message: str, tool: Tool | None) -> str:
    """Replaces options of the command line in a job's message by the tool's arguments."""
    fields = {} if tool is None else tool.request.model_fields
    arguments = {field.alias or name for name, field in fields.items()}

    def name(option: re.Match[str]) -> str:
        argument = (option[1] or "").replace("-", "_")
        return repr(argument) if argument in arguments else option[0]

    return _OPTION.sub(name, message)


def _name_arguments_of(result: Mapping[str, Any], tool: Tool) -> dict[str, Any]:
    """Replaces options by arguments in a result's warnings and reasons, and in those within it."""
    named = dict(result)
    for part in ("failed", "ranked"):
        if isinstance(entries := result.get(part), list):
            named[part] = [_name_arguments_of(entry, tool) for entry in entries]
    if isinstance(reason := result.get("reason"), str):
        named["reason"] = _name_arguments(reason, tool)
    if isinstance(warnings := result.get("warnings"), list):
        named["warnings"] = [_name_arguments(warning, tool) for warning in warnings]
    return named


def _render_answer(answer: Message, tool: Tool, long_results: LongResults) -> types.CallToolResult:
    """Renders an answer: its JSON, its pictures, and a link to the frames that do not fit."""
    result = _name_arguments_of(answer["result"], tool)
    link: list[types.ContentBlock] = []
    frames = result.get("frames")
    if isinstance(frames, list) and len(frames) > PART:
        uri = long_results.add(frames)
        result = {**result, "frames": frames[:PART], "next": uri}
        link.append(
            types.ResourceLink(
                type="resource_link",
                uri=uri,
                name="the frames that follow",
                mime_type="application/json",
            )
        )
    # Frames are in the structured content alone, so that each crosses the wire once.
    brief = {name: value for name, value in result.items() if name != "frames"}
    text = types.TextContent(type="text", text=json.dumps(brief))
    pictures = [
        types.ImageContent(type="image", data=picture, mime_type="image/png")
        for picture in answer["pictures"]
    ]
    return types.CallToolResult(content=[text, *pictures, *link], structured_content=result)


def _list_tool(tool: Tool, output_schema: dict[str, object]) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=output_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.writes,
            destructive_hint=tool.writes,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


@contextlib.contextmanager
def _protocol_errors(code: int) -> Iterator[None]:
    """Turns an InputError inside the block into an error of the protocol."""
    try:
        yield
    except InputError as error:
        raise MCPError(code, escape_surrogates(str(error))) from error


_MAX_ARGUMENT = 4096  # characters


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A text in which `{name}` stands for an argument."""

    name: str
    description: str
    arguments: dict[str, str]
    text: str


_PROMPTS = (
    Prompt(
        "explain_score",
        "Why a distorted video scores as it does: the score, its worst moments, what they show.",
        {"reference": "Path of the reference video.", "distorted": "Path of the distorted video."},
        "Explain the quality of {distorted} against its reference {reference}.\n"
        "1. Call vmaf_score with plot=true: report the mean, and how far min, p1 and p5 lie below "
        "it (a wide gap is a few bad moments, a narrow one even loss).\n"
        "2. Call describe_worst_frames with apart=12: look at the pictures. Low vif_scale0 to "
        "vif_scale3 is detail lost from fine to coarse; low adm2 is visible impairment; high "
        "motion2 masks it.\n"
        "3. Say in plain words what is wrong, where, and what an encoder could change. A score is "
        "a prediction of a panel's mean opinion, not a measurement: say so where frames are odd "
        "(titles, fades, animation).",
    ),
    Prompt(
        "compare_encodes",
        "Which of two encodes of a reference to prefer, and where they differ.",
        {
            "reference": "Path of the reference video.",
            "first": "Path of one encode.",
            "second": "Path of the other encode.",
        },
        "Compare two encodes of {reference}: {first} and {second}.\n"
        "1. Call rank with both as distorted.\n"
        "2. Compare their means and their p1 and p5, beside their bit rates; a difference below "
        "about one point is not seen, and below six is seen by few.\n"
        "3. Call describe_worst_frames for each (apart=12) and compare the pictures.\n"
        "4. Recommend one, with the figures; say where the other is better.",
    ),
)


def list_prompts() -> list[types.Prompt]:
    """Lists the prompts and their arguments."""
    return [
        types.Prompt(
            name=prompt.name,
            description=prompt.description,
            arguments=[
                types.PromptArgument(name=name, description=text, required=True)
                for name, text in prompt.arguments.items()
            ],
        )
        for prompt in _PROMPTS
    ]


def get_prompt(name: str, arguments: dict[str, str]) -> types.GetPromptResult:
    """Returns a prompt with its arguments filled in.

    Raises:
        InputError: no such prompt, or an argument is missing, unknown or too long.
    """
    prompt = {prompt.name: prompt for prompt in _PROMPTS}.get(name)
    if prompt is None:
        names = ", ".join(prompt.name for prompt in _PROMPTS)
        raise InputError(f"no prompt {name[:200]!r}; there are {names}.")
    if arguments.keys() != prompt.arguments.keys():
        raise InputError(f"{name}: takes exactly {', '.join(prompt.arguments)}.")
    if any(len(value) > _MAX_ARGUMENT for value in arguments.values()):
        raise InputError(f"{name}: an argument is longer than {_MAX_ARGUMENT} characters.")
    text = prompt.text
    for key, value in arguments.items():
        text = text.replace("{" + key + "}", repr(value))
    content = types.TextContent(type="text", text=text)
    message = types.PromptMessage(role="user", content=content)
    return types.GetPromptResult(description=prompt.description, messages=[message])
