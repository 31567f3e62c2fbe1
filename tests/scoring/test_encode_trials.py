"""The cache of trials; trials themselves are tested with the job `encode`."""

import os
import time

from vmaf_jax.scoring import encode_trials


def test_reels_used_long_ago_are_removed_beyond_a_size(tmp_path, monkeypatch):
    monkeypatch.setattr(encode_trials, "_MOST_REEL_BYTES", 250)
    now = time.time()
    for name, age in (("newest", 0), ("in_use", 60), ("older", 7200), ("oldest", 9000)):
        (tmp_path / f"{name}.mkv").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}.mkv", (now - age, now - age))
    encode_trials._remove_old_reels(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["in_use", "newest"]
