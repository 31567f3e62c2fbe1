"""Bounds of a server come from options, then from the environment."""

import os

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.serving.settings import make_settings


def test_folders_come_from_flags_then_the_environment_then_here(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("VMAF_JAX_MCP_ALLOW", f"{tmp_path}{os.pathsep}{tmp_path / 'b'}")
    assert make_settings(None, None, None).allow == (tmp_path, tmp_path / "b")
    assert make_settings([tmp_path / "b"], None, None).allow == (tmp_path / "b",)
    monkeypatch.setenv("VMAF_JAX_MCP_ALLOW", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="no such folder"):
        make_settings(None, None, None)
    monkeypatch.delenv("VMAF_JAX_MCP_ALLOW")
    monkeypatch.chdir(tmp_path / "b")
    assert make_settings(None, None, None).allow == (tmp_path / "b",)
