"""A ladder as CSV, and how many contents a plot takes."""

import csv
import io

import pytest

from vmaf_jax.corpora.encodes import Encode
from vmaf_jax.errors import InputError
from vmaf_jax.reporting.ladder_tables import MAX_PANELS, check_panels, rungs_csv


def test_rungs_read_back_as_the_same_numbers():
    rate, score = 0.1 + 0.2, 100 / 3
    encodes = [Encode("a, b", "x264", rate, score, 720), Encode('"c"', "av1", 1e-3, 0.0)]
    content = rungs_csv([(encodes[0], True, False), (encodes[1], False, True)])
    first, second = csv.DictReader(io.StringIO(content.decode()))
    assert (float(first["kbps"]), float(first["score"])) == (rate, score)
    assert (first["content"], first["on_hull"], first["on_codec_hull"]) == ("a, b", "1", "0")
    assert (second["content"], second["height"], second["on_codec_hull"]) == ('"c"', "", "1")


def test_a_plot_has_a_panel_for_every_content():
    check_panels(range(MAX_PANELS))
    with pytest.raises(InputError, match="--content"):
        check_panels(range(MAX_PANELS + 1))
