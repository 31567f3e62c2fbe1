import pytest

from vmaf_jax.corpora.votes import read_rated_clips, read_ratings
from vmaf_jax.errors import InputError

LONG = "clip,subject,score\na,ann,4\na,bob,5\nb,ann,2\nb,ann,3\n"
WIDE = "clip,source,ann,bob\na,park,4,5\nb,park,2,\n"
SCALE = (1.0, 5.0)


def read(folder, text):
    path = folder / "ratings.csv"
    path.write_text(text)
    return read_ratings(path)


def test_long_and_wide(tmp_path):
    long = {"a": {"ann": [4.0], "bob": [5.0]}, "b": {"ann": [2.0, 3.0]}}
    assert read(tmp_path, LONG) == long
    assert read(tmp_path, LONG.replace("score", "vote")) == long  # as calibrate calls them
    assert read(tmp_path, WIDE) == {"a": {"ann": [4.0], "bob": [5.0]}, "b": {"ann": [2.0]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,subject,score\n", "holds no vote"),
        ("video,subject,score\na,ann,4\n", "column 'clip' is missing"),
        (LONG.replace(",5", ",good"), "row 2, column 'score'"),
        (LONG.replace(",5", ",inf"), "row 2, column 'score'"),
        (LONG.replace(",5", ","), "row 2, column 'score'"),
        (WIDE.replace("4,5", "4,good"), "row 1, subject 'bob': 'good' is no vote"),
        (WIDE.replace("4,5", "4,inf"), "row 1, subject 'bob': 'inf' is no vote"),
        (WIDE.replace("2,", ","), "row 2: 'b' has no votes"),
        (WIDE.replace("4,5", "4,5,3"), "row 1 has more cells than there are columns"),
        (WIDE.replace("b,", "a,"), "row 2, clip 'a': in a wide file each clip has one row"),
    ],
)
def test_what_is_no_vote_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_records_that_are_none(tmp_path):
    path = tmp_path / "ratings.jsonl"
    path.write_text('{"clip": "a", "ann": 3}\n[1]\n')
    with pytest.raises(InputError, match="row 2 is no record"):
        read_ratings(path)


def test_columns_that_summarise_are_no_subjects(tmp_path):
    text = (
        "id,clip,ann,bob,Mean,STD,CI95,Source,Unnamed: 0\n1,a,2,4,3,1.4,2,s,1\n2,b,5,5,5,0,0,s,2\n"
    )
    assert read(tmp_path, text) == {"a": {"ann": [2], "bob": [4]}, "b": {"ann": [5], "bob": [5]}}


def test_votes_in_a_column_without_a_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="row 1: a column without a name has votes"):
        read(tmp_path, ",clip,ann\n1,a,2\n2,b,5\n")


def test_a_quotation_mark_that_is_not_closed_is_refused(tmp_path):
    """Else the rest of the file is one cell, and its votes are gone."""
    with pytest.raises(InputError, match="a quotation mark in row 2 is not closed"):
        read(tmp_path, 'clip,subject,score,note\na,x,1,\na,y,2,"late\nb,x,3,\nb,y,4,\n')


def read_rated(tmp_path, text, scale=SCALE):
    path = tmp_path / "rated.csv"
    path.write_text(text)
    return read_rated_clips(path, scale)


def test_means_with_and_without_intervals(tmp_path):
    first, second = read_rated(tmp_path, "clip,mos,mos_ci95\na,3.5,0.392\nb,2,\n")
    assert (first.clip, first.mos) == ("a", 3.5)
    assert first.variance == pytest.approx(0.04, rel=1e-3)  # 0.392 = 1.96 deviations of the mean
    assert (second.mos, second.variance) == (2.0, None)


def test_raw_votes_are_pooled_and_fewer_viewers_are_more_in_doubt(tmp_path):
    votes = {"a": [4, 5, 4, 5, 4, 5, 4, 5], "b": [1, 2]}
    text = "clip,subject,vote\n" + "".join(
        f"{clip},s{k},{vote}\n" for clip, group in votes.items() for k, vote in enumerate(group)
    )
    a, b = read_rated(tmp_path, text)
    assert (a.mos, a.viewers, b.mos, b.viewers) == (4.5, 8, 1.5, 2)
    # 10 votes of the typical deviation, 0.68, and 8 degrees of freedom of these.
    spread = (8 * 0.25 + 2 * 0.25 + 10 * 0.68**2) / (8 + 10)
    assert a.variance == pytest.approx(spread / 8)
    assert b.variance == pytest.approx(spread / 2)


def test_one_or_two_clips_may_have_equal_votes(tmp_path):
    assert [c.mos for c in read_rated(tmp_path, "clip,mos\na,3\nb,3\n")] == [3, 3]
    votes = "clip,subject,vote\na,s,4\na,t,4\na,u,4\n"
    assert [c.mos for c in read_rated(tmp_path, votes)] == [4]


def test_who_votes_twice_on_a_clip_is_one_viewer(tmp_path):
    once = "clip,subject,vote\na,s,4\na,t,2\nb,s,3\nb,t,3\n"
    twice = "clip,subject,vote\na,s,5\na,s,3\na,t,2\na,t,2\nb,s,3\nb,t,3\nb,t,3\n"
    assert read_rated(tmp_path, twice) == read_rated(tmp_path, once)


def test_votes_at_several_distances_are_of_a_clip_each(tmp_path):
    raw = "clip,subject,vote,distance\na,s,4,1.6\na,t,3,1.6\na,s,5,4.8\na,t,5,4.8\nb,s,2,\nb,t,1,\n"
    means = "clip,mos,distance\na,3.5,1.6\na,5,4.8\nb,1.5,\n"
    for text in (raw, means):
        rated = {clip.clip: clip.mos for clip in read_rated(tmp_path, text)}
        assert rated == {"a@1.6H": 3.5, "a@4.8H": 5.0, "b": 1.5}
    one = read_rated(tmp_path, "clip,mos,distance\na,3.5,1.6\nb,2,1.6\n")
    assert [clip.clip for clip in one] == ["a", "b"]


HUNDRED = (0.0, 100.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,mos\na,2\nb,3\nc,4.5\n", "no vote is above 4.5, while the scale is 0 to 100"),
        (
            "clip,subject,vote\na,s,2\na,t,60\nb,s,3\nb,t,70\nc,s,4\nc,t,90\nd,t,8\n",
            "subject 's' votes 4 at most where others vote 73 on average, while the scale is",
        ),
    ],
)
def test_votes_of_a_small_scale_are_told_on_a_large_one(tmp_path, text, message):
    with pytest.raises(InputError, match=f"{message}.* say in a column label_scale"):
        read_rated(tmp_path, text, HUNDRED)
    header, *rows = text.splitlines()
    stated = "\n".join([f"{header},label_scale", *(f"{row},0 100" for row in rows)])
    assert len(read_rated(tmp_path, stated, HUNDRED)) == len({row[0] for row in rows})


def test_low_votes_on_bad_clips_are_of_the_large_scale(tmp_path):
    low = "clip,mos\na,2\nb,3\n"
    harsh = "clip,subject,vote\na,s,2\na,t,9\nb,s,3\nb,t,12\nc,s,4\nc,t,11\n"
    for text in (low, harsh, "clip,mos\na,2\nb,3\nc,60\n"):
        assert read_rated(tmp_path, text, HUNDRED)


def test_accents_are_compared_as_characters(tmp_path):
    """macOS writes names of files with accents apart."""
    (one,) = read_rated(tmp_path, "clip,subject,vote\nCafe\u0301,s,3\nCaf\u00e9,t,4\n")
    assert (one.clip, one.viewers) == ("Caf\u00e9", 2)
    with pytest.raises(InputError, match="row 2: a second mos"):
        read_rated(tmp_path, "clip,mos\nCafe\u0301,3\nCaf\u00e9,4\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,mos\n", "holds no vote"),
        ("clip,mos\na,6\n", r"row 1, column 'mos': 6 is outside the label scale, 1 to 5"),
        ("clip,subject,vote\na,s,0\na,t,2\n", "row 1, column 'vote': 0 is outside"),
        ("clip,subject,vote\na,s,1\nb,s,2\n", r"one viewer \(s\)"),
        ("clip,subject,vote\na,s,3\na,t,3\nb,s,3\nc,s,3\n", "all 4 rows say 3"),
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
        read_rated(tmp_path, text)
    assert "\n" not in str(error.value)
