"""Numbers of cells: plain decimal notation is read, what only Python takes for one is refused."""

import decimal

import numpy as np
import pytest

from vmaf_jax.corpora.records import read_csv_format, read_csv_rows, read_number, read_whole
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


@pytest.mark.parametrize(
    ("cell", "number"),
    [(" 12.5 ", 12.5), ("-.5e1", -5.0), ("3.", 3.0), (7, 7.0), (np.float32(0.5), 0.5)],
)
def test_plain_numbers_are_read(cell, number):
    assert read_number(cell) == number
    assert read_number(decimal.Decimal("2.25")) == 2.25


@pytest.mark.parametrize(
    "cell",
    ["", "7_0", "inf", "nan", "1e999", "٣", "1,5", "0x10", "1" * 65, True, None, [1], 10**400],
)
def test_anything_else_is_refused_and_shown_shortly(cell):
    with pytest.raises(ValueError, match="expected a number such as") as refusal:
        read_number(cell)
    assert len(str(refusal.value)) < 100


def test_whole_numbers_may_be_written_with_a_point():
    assert [read_whole(cell) for cell in ("3", "3.0", "3e0", 3, 2**62)] == [3, 3, 3, 3, 2**62]
    with pytest.raises(ValueError, match=r"expected a whole number, received '3\.5'"):
        read_whole("3.5")
