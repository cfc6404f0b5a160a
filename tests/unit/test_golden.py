"""The golden journals mean what is written beside them.

After a deliberate change: ``python -m tests.golden.regenerate``, and read the difference.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.events import KINDS
from jupyter_green.sessions.fold import Fold
from tests.golden.digest import HERE, digest, expected_path, journals

NAMES = [path.stem for path in journals()]


def expected(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(expected_path(HERE / f"{name}.ndjson").read_text("utf-8"))
    return told


@pytest.mark.parametrize("journal", journals(), ids=lambda path: path.stem)
def test_journal_means_what_it_meant(journal: Path) -> None:
    told = json.loads(json.dumps(digest(journal.read_bytes()), allow_nan=False))
    assert told == expected(journal.stem)


@pytest.mark.parametrize("journal", journals(), ids=lambda path: path.stem)
def test_journal_may_be_read_line_by_line(journal: Path) -> None:
    if "refused" in expected(journal.stem):
        return
    lines = journal.read_bytes().splitlines(keepends=True)
    whole, parts = Fold(), Fold()
    whole.feed_lines(b"".join(lines))
    for line in lines:
        parts.feed_lines(line)
    assert repr(parts.session()) == repr(whole.session())


def test_every_journal_has_its_expectation_and_its_line_in_the_readme() -> None:
    assert {path.stem for path in HERE.glob("*.json")} == {*NAMES, "formats"}
    readme = (HERE / "README.md").read_text("utf-8")
    assert [name for name in NAMES if f"`{name}`" not in readme] == []


def test_journals_are_short_enough_to_read() -> None:
    for journal in journals():
        assert len(journal.read_bytes().splitlines()) <= 40


def test_every_kind_of_event_is_told() -> None:
    text = b"".join(journal.read_bytes() for journal in journals()).decode("utf-8", "replace")
    assert [kind for kind in KINDS if f'"kind":"{kind}"' not in text] == []


# --- what a person can check by hand ---


def session(name: str) -> dict[str, Any]:
    told: dict[str, Any] = expected(name)["session"]
    return told


def cell(name: str, number: int) -> dict[str, Any]:
    (found,) = [c for c in session(name)["cells"] if c["number"] == number]
    return dict(found)


def joules(name: str) -> dict[str, float]:
    return {
        entry: told["total_uj"] / 1e6
        for entry, told in session(name)["ledger"].items()
        if told["total_uj"]
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_adds_up(name: str) -> None:
    for told in expected(name).values():
        if isinstance(told, str):
            assert told == "NewerFormat"
            continue
        entries = told["ledger"].values()
        assert sum(entry["total_uj"] for entry in entries) == told["total"]["total_uj"]
        assert sum(entry["seconds"] for entry in entries) == pytest.approx(told["duration_s"])
        for counter in told["counters"]:
            sums = sum(entry["uj"].get(counter, 0) for entry in entries)
            assert sums == told["total"]["uj"].get(counter, 0)


def test_facts_that_were_worked_out_by_hand() -> None:
    assert joules("plain") == {"productive": 100.0, "between cells": 36.0}
    assert joules("reruns") == {
        "productive": 200.0,
        "superseded": 100.0,
        "failed": 50.0,
        "between cells": 45.0,
    }
    assert cell("nested", 1)["energy"]["total_uj"] == 300_000_000
    assert cell("nested", 2)["energy"]["total_uj"] == 100_000_000
    assert joules("pause") == {"productive": 80.0, "paused": 400.0, "between cells": 10.0}
    assert cell("counter_lost", 1)["energy"]["missing"] == []
    assert session("kernel_died")["reason"] == "kernel died"
    assert expected("orphan")["orphan"]["cells"][0]["status"] == "kernel died"
    assert cell("place_and_price", 1)["energy"]["by_period"] == {"2": 50_000_000, "3": 50_000_000}
    assert session("modelled")["total"]["provenance"] == ["measured", "modelled"]
    assert (session("damaged")["bad_lines"], session("damaged")["unknown_events"]) == (4, 2)
    assert expected("newer_major") == {"refused": "NewerFormat"}
