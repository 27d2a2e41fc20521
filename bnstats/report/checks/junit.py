"""A verification as JUnit XML, which most CI systems can show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from bnstats.errors import printable
from bnstats.report.checks.text import finding, message
from bnstats.verification.check import Check

# XML 1.0 forbids these, even as references: most control characters, surrogates, U+FFFE, U+FFFF.
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(checks: Sequence[Check], *, allow_undecided: bool = False) -> str:
    """Return one test suite with a case for every constant.

    A wrong constant is a failure. One that is undecided is an error, or skipped if that is
    allowed, so that what CI shows agrees with the exit code.
    """
    doubt = "skipped" if allow_undecided else "error"
    kinds = [{"fail": "failure", "undecided": doubt}.get(check.outcome, "") for check in checks]
    suite = _suite(kinds)
    for check, kind in zip(checks, kinds, strict=True):
        case = _case(suite[0], _source(check), f"{check.layer} {check.quantity}")
        if kind:
            found = ElementTree.SubElement(case, kind, message=_legal(finding(check)))
            if kind != "skipped":
                found.set("type", check.grade)
            found.text = _legal(f"{_where(check)}{message(check)}")
    return _written(suite)


def junit_error(text: str) -> str:
    """Return the test suite of a call that failed before it could check anything."""
    suite = _suite(["error"])
    case = _case(suite[0], "bnstats", "verify")
    ElementTree.SubElement(case, "error", message=_legal(text), type="error").text = _legal(text)
    return _written(suite)


def _suite(kinds: Sequence[str]) -> ElementTree.Element:
    root = ElementTree.Element("testsuites")
    numbers = {"name": "bnstats verify", "tests": str(len(kinds))}
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        numbers[plural] = str(kinds.count(kind))
    ElementTree.SubElement(root, "testsuite", numbers)
    return root


def _case(suite: ElementTree.Element, classname: str, name: str) -> ElementTree.Element:
    fields = {"classname": _legal(classname), "name": _legal(name)}
    return ElementTree.SubElement(suite, "testcase", fields)


def _source(check: Check) -> str:
    """Return the claim set or the file that a constant comes from."""
    if check.place:
        return printable(check.place.path.as_posix(), 4000)
    return check.verdict.claim.set if check.verdict else "bnstats"


def _where(check: Check) -> str:
    if check.place is None or check.place.line is None:
        return ""
    return f"{_source(check)}:{check.place.line}: "


def _legal(text: str) -> str:
    return _FORBIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _written(root: ElementTree.Element) -> str:
    """Return the document in ASCII: it reads the same whatever encoding stdout has."""
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return text.decode("ascii")
