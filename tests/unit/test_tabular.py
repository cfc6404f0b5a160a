"""JSON and CSV: complete, exact, and harmless to the programs that read them."""

import csv
import io
import json
import math
from typing import Any

import pytest
from msgspec import structs

from jupyter_green.events import CounterLost, IntensityChanged, OverlapSeen, RecorderRestarted
from jupyter_green.report.exports import tabular
from jupyter_green.sessions import frames
from jupyter_green.sessions.model import Session
from tests.simulators.story import EVERY, FRANCE, HOSTILE, MODEL, Story, hostile, training


def parsed(session: Session) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found: dict[str, Any] = json.loads(tabular.as_json(session), parse_constant=refuse)
    return found


def rows(session: Session) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tabular.as_csv(session))))


# --- JSON ---


def test_totals_are_the_folds() -> None:
    session = training()
    report = parsed(session)

    assert report["format"] == tabular.FORMAT
    assert report["total"]["energy_j"] == session.total.energy_j == pytest.approx(300.0)
    assert report["total"]["bound_j"] == session.total.bound_j
    assert report["total"]["co2_g"] == session.co2_g(session.total)
    assert report["total"]["cost"] == session.cost(session.total)
    assert report["total"]["by_counter_j"] == {
        name: uj / 1e6 for name, uj in session.total.uj.items()
    }
    for name, entry in session.ledger.entries.items():
        assert report["ledger"][name]["energy_j"] == entry.total_uj / 1e6
        assert report["ledger"][name]["duration_s"] == entry.seconds
    ledger = sum(entry["energy_j"] for entry in report["ledger"].values())
    assert ledger == pytest.approx(report["total"]["energy_j"], abs=1e-6)


def test_the_documented_keys_are_there() -> None:
    report = parsed(training())
    assert tabular.__doc__ is not None
    documented = tabular.__doc__.replace("``", "`")

    assert all(f"`{key}`" in documented for key in report)
    for key in ("session", "machine", "total"):
        section = documented.split(f"`{key}`\n")[1].split("\n`")[0]
        assert all(name in section for name in report[key]), key
    for key in ("counters", "refused"):
        section = documented.split(f"`{key}`\n")[1].split("\n`")[0]
        assert all(name in section for name in report[key][0]), key


def test_cells_spans_and_metrics() -> None:
    session = training()
    report = parsed(session)

    assert [cell["energy_j"] for cell in report["cells"]] == [
        cell.energy.energy_j for cell in session.cells
    ]
    first = report["cells"][0]
    assert first["by_counter_j"] == pytest.approx({"package-0": 10.0, "dram-0": 2.0, "core-0": 7.0})
    assert set(first) == {*frames.CELL_COLUMNS, "by_counter_j"}
    assert set(report["spans"][0]) == {*frames.SPAN_COLUMNS, "by_counter_j"}
    assert set(report["metrics"][0]) == set(frames.METRIC_COLUMNS)
    assert report["open_cells"][0]["energy_so_far_j"] == pytest.approx(36.0)
    assert [span["name"] for span in report["spans"]] == ["epoch 1", "epoch 2"] * 2


def test_provenance_and_what_was_refused() -> None:
    report = parsed(training())

    assert {c["name"]: (c["provenance"], c["counted"]) for c in report["counters"]} == {
        "package-0": ("measured", True),
        "dram-0": ("measured", True),
        "core-0": ("measured", False),
    }
    assert report["refused"] == [
        {
            "source": "nvml",
            "reason": "no NVIDIA driver",
            "counter": None,
            "remedy": "install one",
            "by_choice": False,
        }
    ]
    modelled = parsed(Story(MODEL).session())["counters"][0]
    assert (modelled["band"], modelled["assumption"]) == (0.4, "10 W idle, 65 W busy")


def test_unknown_is_null() -> None:
    story = Story(unread=EVERY)
    story.cell("x")
    report = parsed(story.session())

    for part in (report["total"], report["cells"][0], report["ledger"]["productive"]):
        assert part["energy_j"] is None
        assert part["co2_g"] is None
    assert report["total"]["cost"] is None
    assert report["intensity_periods"][0]["g_per_kwh"] is None


def test_infinite_metrics_are_null_with_a_text() -> None:
    story = Story()
    number = story.begin("fit()")
    for name in ("nan", "inf", "-inf"):
        story.metric("loss", None, text=name, cell=number)
    story.end(number)
    report = parsed(story.session())

    assert [(m["value"], m["text"]) for m in report["metrics"]] == [
        (None, "nan"),
        (None, "inf"),
        (None, "-inf"),
    ]
    assert report["cells"][0]["metric_value"] is None


def test_doubts_travel_too() -> None:
    story = Story(intensity=FRANCE)
    story.sleep(1.0)
    story.feed(CounterLost(t=1.0, counter="dram-0", since=0.5, reason="gone"))
    story.feed(RecorderRestarted(t=1.0, since=0.7, reason="killed"))
    story.feed(OverlapSeen(t=1.0, session="other", pid=9))
    other = structs.replace(FRANCE, g_per_kwh=60.0)
    story.feed(IntensityChanged(intensity=other, **story.stamp()))
    story.fold.feed_lines(b"torn\n")
    report = parsed(story.session())

    assert report["holes"] == [
        {
            "counter": "dram-0",
            "since_s": 0.5,
            "until_s": None,
            "reason": "gone",
            "remedy": "",
            "lost": True,
        }
    ]
    assert report["gaps"] == [{"since_s": 0.7, "until_s": 1.0, "reason": "killed"}]
    assert report["overlaps"][0]["session"] == "other"
    assert [period["g_per_kwh"] for period in report["intensity_periods"]] == [44.0, 60.0]
    assert report["intensity_periods"][1]["since_s"] == 1.0
    assert report["bad_lines"] == 1
    assert report["total"]["at_least"] is True
    assert report["total"]["missing"] == ["dram-0"]


def test_hostile_text_survives_unchanged() -> None:
    report = parsed(hostile())

    assert [cell["first_line"] for cell in report["cells"]] == list(HOSTILE)
    assert tabular.as_json(hostile()).isascii()


# --- CSV ---


def test_one_row_a_cell_with_the_frames_columns() -> None:
    session = training()
    found = rows(session)

    assert list(found[0]) == list(frames.cells(session).columns)
    assert [row["number"] for row in found] == ["1", "2", "3", "4"]


def test_numbers_have_their_full_precision() -> None:
    story = Story()
    story.cell("x", 1 / 3)
    session = story.session()
    row = rows(session)[0]

    assert float(row["energy_j"]) == session.cells[0].energy.energy_j
    assert float(row["duration_s"]) == session.cells[0].duration_s
    assert float(row["package-0_j"]) == session.cells[0].energy.uj["package-0"] / 1e6


def test_unknown_is_empty() -> None:
    story = Story(unread=EVERY)
    number = story.begin("x", execution_count=None)
    story.metric("loss", None, text="nan", cell=number)
    story.end(number)
    row = rows(story.session())[0]

    empty = "energy_j bound_j power_w co2_g package-0_j metric_value execution_count error stage"
    assert [row[name] for name in empty.split()] == [""] * len(empty.split())
    assert row["metric"] == "loss"


def test_no_cell_is_a_formula() -> None:
    found = rows(hostile())
    texts = [value for row in found for name, value in row.items() if name not in NUMERIC]

    assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    lines = [row["first_line"] for row in found]
    for dangerous in ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\tindented"):
        assert f"'{dangerous}" in lines
    assert '"quoted", and; separated' in lines


NUMERIC = {name for name, dtype in frames.CELL_COLUMNS.items() if "string" not in dtype}


def test_negative_numbers_stay_numbers() -> None:
    story = Story()
    number = story.begin("fit()")
    story.metric("score", -0.5, cell=number)
    story.metric("score", None, text="-inf", cell=number)
    story.end(number)
    assert rows(story.session())[0]["metric_value"] == "-inf"
    assert math.isinf(float(rows(story.session())[0]["metric_value"]))


def test_an_empty_session_has_a_header() -> None:
    assert tabular.as_csv(Story().session()).startswith("number,execution_count,label,")
    assert rows(Story().session()) == []
