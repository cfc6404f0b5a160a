"""The doctor's findings as a panel gets them."""

from __future__ import annotations

import json

import pytest

from jupyter_green.doctor import hints
from jupyter_green.doctor.findings import NOTE, OK, PROBLEM, Examination
from jupyter_green.doctor.page import Page
from tests.unit.test_doctor_views import FOUND, LONG, hostile

FIELDS = {"title", "detail", "remedy", "commands", "severity"}


def test_troubles_come_first() -> None:
    severities = [hint["severity"] for hint in hints.of(FOUND)]
    ranks = [(PROBLEM, NOTE, OK).index(str(severity)) for severity in severities]
    assert ranks == sorted(ranks)
    assert severities[0] == PROBLEM
    problems = [hint["title"] for hint in hints.of(FOUND) if hint["severity"] == PROBLEM]
    assert problems == ["dram-0: missing", "journal"]


def test_everything_that_the_doctor_found_is_there() -> None:
    page, found = Page.of(FOUND), hints.of(FOUND)
    expected = len(page.recipes) + len(page.refused) + len(page.rows) + len(page.checks)
    assert len(found) == expected
    told = {(hint["title"], hint["detail"], hint["remedy"]) for hint in found}
    for refused in page.refused:
        assert (refused.what, refused.reason, refused.remedy) in told
    for check in page.checks:
        assert (check.about, check.text, check.remedy) in told


def test_a_recipe_has_its_lines_in_order() -> None:
    (recipe,) = (hint for hint in hints.of(FOUND) if hint["commands"])
    assert recipe["title"] == "Open the counters"
    assert json.loads(json.dumps(recipe["commands"])) == [LONG, "  inner"]
    assert str(recipe["detail"]).startswith("a side channel Do this")
    assert str(recipe["detail"]).endswith("And nothing else.")
    assert recipe["severity"] == NOTE


def test_a_counter_is_named_with_its_power() -> None:
    titles = [hint["title"] for hint in hints.of(FOUND) if hint["severity"] == OK]
    assert "package-0: 35 W" in titles


def test_a_counter_that_could_not_be_read_is_not_in_order() -> None:
    (dram,) = (hint for hint in hints.of(FOUND) if str(hint["title"]).startswith("dram-0"))
    assert "missing" in str(dram["title"])
    assert "No such file" in str(dram["detail"])
    assert dram["remedy"] == "look for it"
    assert dram["severity"] == PROBLEM


@pytest.mark.parametrize(
    "found", [FOUND, hostile(), Examination()], ids=["usual", "hostile", "none"]
)
def test_findings_are_plain_values(found: Examination) -> None:
    told = json.loads(json.dumps(hints.of(found)))
    for hint in told:
        assert hint.keys() == FIELDS
        assert hint["severity"] in (OK, NOTE, PROBLEM)
        assert all(isinstance(hint[name], str) for name in FIELDS - {"commands"})
        assert all(isinstance(line, str) for line in hint["commands"])


def test_nothing_was_found() -> None:
    assert hints.of(Examination()) == []
