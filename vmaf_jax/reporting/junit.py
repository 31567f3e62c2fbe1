"""Checks of scores as JUnit XML, which CI systems show as tests."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from vmaf_jax.printable import printable


class Case(NamedTuple):
    """A test case.

    Attributes:
        group: Of the case, here the reference's name.
        name: Of the case.
        failure: Why it failed; None where it passed.
        error: Why it could not be judged; None where it could.
    """

    group: str
    name: str
    failure: str | None = None
    error: str | None = None


def to_junit(suite: str, cases: Sequence[Case]) -> bytes:
    """Returns one test suite as JUnit XML, UTF-8."""
    counts = {
        "tests": len(cases),
        "failures": sum(case.failure is not None for case in cases),
        "errors": sum(case.error is not None for case in cases),
    }
    attributes = {"name": suite, **{key: str(value) for key, value in counts.items()}}
    root = ElementTree.Element("testsuites", attributes)
    parent = ElementTree.SubElement(root, "testsuite", attributes)
    for case in cases:
        names = {"classname": printable(case.group), "name": printable(case.name)}
        child = ElementTree.SubElement(parent, "testcase", names)
        for tag, text in (("failure", case.failure), ("error", case.error)):
            if text is not None:
                ElementTree.SubElement(child, tag, {"message": printable(text)})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
