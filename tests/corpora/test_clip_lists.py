"""Lists of clips whose features were measured elsewhere."""

import pytest

from vmaf_jax.corpora.clip_lists import read_clip_list, read_log_manifest
from vmaf_jax.errors import InputError


def test_clips_at_several_distances_are_clips_of_each(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("clip,source,distance,note\npark,a,1.5,x\npark,a,3,y\nsea,b,3,z\n")
    clips, unused = read_clip_list(path)
    assert [clip.name for clip in clips] == ["park@1.5H", "park@3H", "sea"]
    assert {clip.measured_as for clip in clips} == {"park", "sea"}
    assert unused == ["note"]


def test_logs_are_beside_their_manifest_and_named_by_it(tmp_path):
    (tmp_path / "one.json").write_text("{}")
    path = tmp_path / "logs.csv"
    path.write_text("log,source\none.json,a\n")
    (clip,), _ = read_log_manifest(path)
    assert (clip.name, clip.log) == ("one", tmp_path / "one.json")
    path.write_text("log,source\ntwo.json,a\n")
    with pytest.raises(InputError, match=r"row 1: .*two.json: no such file"):
        read_log_manifest(path)
