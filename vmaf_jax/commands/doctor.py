"""`vmaf-jax doctor`."""

from vmaf_jax.commands.options import Json
from vmaf_jax.errors import InputError


def doctor(json_: Json = False) -> None:
    """Say what this machine has and what is missing."""
    from vmaf_jax.jobs.doctor import doctor as examine
    from vmaf_jax.reporting.terminal import show_json, show_parts

    diagnosis = examine()
    if json_:
        show_json({**diagnosis.parts, "problems": diagnosis.problems})
    else:
        show_parts(diagnosis.parts)
    if diagnosis.problems:
        raise InputError(diagnosis.problems[0])
