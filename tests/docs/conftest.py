"""The folder that pages take for granted, made once; tests that write into it take a copy."""

import pytest

from tests.docs.story import write_story


@pytest.fixture(scope="session")
def story(tmp_path_factory, ffmpeg):
    return write_story(tmp_path_factory.mktemp("story") / "folder", ffmpeg)
