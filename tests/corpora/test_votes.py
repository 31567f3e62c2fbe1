import pytest

from vmaf_jax.corpora.votes import read_ratings
from vmaf_jax.errors import InputError

LONG = "clip,subject,score\na,ann,4\na,bob,5\nb,ann,2\nb,ann,3\n"
WIDE = "clip,source,ann,bob\na,park,4,5\nb,park,2,\n"


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
