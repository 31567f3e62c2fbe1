"""Prompts, each of which combines several tools."""

import dataclasses

from mcp import types

from vmaf_jax.errors import InputError

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
        {
            "reference": "Path of the reference video.",
            "distorted": "Path of the distorted video.",
        },
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
