"""The process that `benchmarks.calibrate` writes."""

from benchmarks.calibrate import format_process
from vmaf_jax.scoring.measured_clips import FILE, load_process


def test_the_shipped_process_is_as_it_is_written():
    assert FILE.read_text() == format_process(load_process())
