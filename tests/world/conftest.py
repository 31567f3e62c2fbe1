"""The world's files."""

import pytest

from tests.world.kept import keep_files
from tests.world.support import World


@pytest.fixture(scope="session")
def world(ffmpeg, tmp_path_factory):
    modules = ("support.py", "test_pictures.py")
    with keep_files(tmp_path_factory.mktemp("world"), *modules) as folder:
        yield World(ffmpeg, folder)
