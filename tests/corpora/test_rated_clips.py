import pytest

from vmaf_jax.corpora.rated_clips import read_rated_clips
from vmaf_jax.errors import InputError

SCALE = (1.0, 5.0)


def read(tmp_path, text, scale=SCALE):
    path = tmp_path / "rated.csv"
    path.write_text(text)
    return read_rated_clips(path, scale)


def test_means_with_and_without_intervals(tmp_path):
    first, second = read(tmp_path, "clip,mos,mos_ci95\na,3.5,0.392\nb,2,\n")
    assert (first.clip, first.mos) == ("a", 3.5)
    assert first.variance == pytest.approx(0.04, rel=1e-3)  # 0.392 = 1.96 deviations of the mean
    assert (second.mos, second.variance) == (2.0, None)


def test_raw_votes_are_pooled_and_fewer_viewers_are_more_in_doubt(tmp_path):
    votes = {"a": [4, 5, 4, 5, 4, 5, 4, 5], "b": [1, 2]}
    text = "clip,subject,vote\n" + "".join(
        f"{clip},s{k},{vote}\n" for clip, group in votes.items() for k, vote in enumerate(group)
    )
    a, b = read(tmp_path, text)
    assert (a.mos, a.viewers, b.mos, b.viewers) == (4.5, 8, 1.5, 2)
    # 10 votes of the typical deviation, 0.68, and 8 degrees of freedom of these.
    spread = (8 * 0.25 + 2 * 0.25 + 10 * 0.68**2) / (8 + 10)
    assert a.variance == pytest.approx(spread / 8)
    assert b.variance == pytest.approx(spread / 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,mos\n", "holds no vote"),
        ("clip,mos\na,6\n", r"row 1, column 'mos': 6 is outside the label scale, 1 to 5"),
        ("clip,subject,vote\na,s,0\na,t,2\n", "row 1, column 'vote': 0 is outside"),
        ("clip,subject,vote\na,s,1\nb,s,2\n", r"one viewer \(s\)"),
        ("clip,subject,vote\na,s,3\na,t,3\nb,s,3\n", "all 3 rows say 3"),
        ("clip,mos\na,3\nb,3\nc,3\n", "all 3 rows say 3"),
        ("clip,mos\na,3\na,4\n", "row 2: a second mos of 'a'"),
        ("clip,mos,mos_ci95\na,3,9\n", "9 is wider than the scale"),
        ("clip,mos,label_scale\na,3,1 5\nb,4,0 100\n", "row 2 is on the scale 0 to 100"),
        ("clip,subject,vote,mos\na,s,3,\nb,,,4\n", "in every row"),
        ("clip,vote\na,3\nb,4\n", "row 1: has no subject"),
        ("clip,mos\na,good\n", "expected a number such as 12.5"),
        ("name,mos\na,3\n", "column 'clip' is empty or missing"),
    ],
)
def test_bad_votes_are_refused_in_a_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)
