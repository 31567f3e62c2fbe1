"""JUnit XML with names and reasons that are no XML."""

from xml.etree import ElementTree

from vmaf_jax.reporting.score_logs import Case, to_junit


def test_text_of_strangers_stays_text():
    hostile = 'a<b>&"\x1b[2J'
    cases = [Case(hostile, hostile), Case("r", "d", failure=hostile), Case("r", "e", error=hostile)]
    root = ElementTree.fromstring(to_junit("suite", cases))  # noqa: S314 (our own)
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    first, second, third = root.find("testsuite")
    shown = 'a<b>&"\\x1b[2J'
    assert (first.get("classname"), first.get("name"), len(first)) == (shown, shown, 0)
    assert second.find("failure").get("message") == shown
    assert third.find("error").get("message") == shown
