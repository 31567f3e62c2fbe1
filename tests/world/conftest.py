"""The world's files, made once in a session."""

import pytest

from tests.world.support import World


@pytest.fixture(scope="session")
def world(ffmpeg, tmp_path_factory):
    return World(ffmpeg, tmp_path_factory.mktemp("world"))
