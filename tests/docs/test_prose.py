"""Pages, docstrings, messages and names contain no phrase of the list in tools/prose.py."""

import pytest

from tools import prose


def test_no_phrase_of_the_list_is_left():
    assert prose.find_phrases() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Finished programs are not trained again.", []),
        ("What is through is not trained again.", ["is through"]),
        ("It cannot be told from the file, as asked for.", ["asked for", "told"]),
        ("Two lines that are told apart by colour.", []),
        ("Pass `--told` here.", []),
    ],
)
def test_phrases_are_found(tmp_path, monkeypatch, text, found):
    (tmp_path / "README.md").write_text(text + "\n\n    code is through\n")
    (tmp_path / "CONTRIBUTING.md").write_text("")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    assert sorted(line.split("'")[1] for line in prose.find_phrases()) == found


def test_messages_and_names_are_read(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("")
    (tmp_path / "CONTRIBUTING.md").write_text("")
    module = tmp_path / "vmaf_jax" / "module.py"
    module.parent.mkdir()
    module.write_text('def mend(n):\n    raise ValueError(f"{n} is not here; mend it.")\n')
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    assert len(prose.find_phrases()) == 2


def test_sentences_are_counted_by_their_words(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading of some words\n\nOne two three. Four five\nsix seven.\n\n| a | b |\n"
    )
    assert [s for _, s in prose.sentences(page)] == ["One two three.", "Four five six seven."]
