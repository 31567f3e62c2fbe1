"""Options that commands make of dataclasses of settings."""

import dataclasses
import inspect

import pytest

from vmaf_jax.commands.distributed import Processes
from vmaf_jax.commands.encode import LadderOptions, encode
from vmaf_jax.commands.options import expand_settings
from vmaf_jax.commands.score import Limits, Output, Wanted, score
from vmaf_jax.commands.tables import extract
from vmaf_jax.commands.train import select, train
from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison

DEFAULT = Comparison()


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        (score, (Comparison, Output, Limits, Wanted)),
        (encode, (LadderOptions,)),
        (extract, (Comparison,)),
        (train, (Processes,)),
        (select, (Processes,)),
    ],
)
def test_a_command_has_an_option_for_each_field_of_its_settings(command, kinds):
    parameters = inspect.signature(command).parameters
    for field in (field for kind in kinds for field in dataclasses.fields(kind)):
        assert parameters[field.name].default == field.default


def test_a_command_gets_the_settings_that_its_options_make():
    made: list = []

    @expand_settings
    def command(name: str, comparison: Comparison = DEFAULT) -> None:
        made.append((name, comparison))

    words = dict.fromkeys(field.name for field in dataclasses.fields(Comparison))
    values = {name: getattr(DEFAULT, name) for name in words} | {"scale": "pad", "start": "2f"}
    command(name="a", **values)
    assert made == [("a", Comparison(scale="pad", start="2f"))]
    with pytest.raises(InputError, match="--scale zoom"):
        command(name="a", **values | {"scale": "zoom"})
