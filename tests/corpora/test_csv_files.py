"""CSV files as programs write them: the same rows whatever the encoding, delimiter and comma."""

import pytest

from vmaf_jax.corpora.csv_files import read_csv_format, read_csv_rows
from vmaf_jax.errors import InputError

ROWS = [["a.mp4", "12.5"], ["b.mp4", "7.25"]]


def write(folder, text, encoding="utf-8"):
    path = folder / "rows.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "distorted,mos\na.mp4,12.5\nb.mp4,7.25\n",
        "distorted;mos\r\na.mp4;12,5\r\n\r\nb.mp4;7,25",
        "distorted\tmos\na.mp4\t12.5\nb.mp4\t7.25\n",
        'sep=;\n\n"distorted";"mos"\n"a.mp4";"12,5"\n"b.mp4";"7,25"\n',
    ],
)
def test_every_way_of_writing_gives_the_same_rows(tmp_path, text, encoding):
    path = write(tmp_path, text, encoding)
    form = read_csv_format(path)
    assert form.columns == ("distorted", "mos")
    assert list(read_csv_rows(path, form)) == ROWS


def test_a_comma_in_a_column_of_text_stays(tmp_path):
    path = write(tmp_path, "clip;mos\n1,5;2,5\n")
    assert list(read_csv_rows(path, read_csv_format(path))) == [["1,5", "2.5"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b\n1,5;2.5\n", r"decimal commas \(1,5 in row 1\) and decimal points \(2\.5 in row 1\)"),
        ('a,b\n1,"2\n3,4\n', "a quotation mark in row 1 is not closed"),
        ("a,a\n1,2\n", "column 'a' occurs twice"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises((InputError, ValueError), match=message):
        list(read_csv_rows(path, read_csv_format(path)))
