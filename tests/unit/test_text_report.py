"""The report as text: right figures, honest words, and a table that nothing can break."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from jupyter_green.events import (
    CounterLost,
    CounterRestored,
    IntensityChanged,
    JournalThinned,
    OverlapSeen,
    Pricing,
    RecorderRestarted,
    SpanFinished,
    SpanStarted,
)
from jupyter_green.report import text
from jupyter_green.report.lines import cut, display_width
from jupyter_green.report.table import Table
from jupyter_green.report.words import clean
from jupyter_green.sessions.model import Session
from tests.simulators.story import EVERY, FRANCE, HOSTILE, MODEL, PACKAGE, Story, hostile, training


def lines(session: Session, **options: object) -> list[str]:
    return text.render(session, **{"width": 100, **options}).splitlines()  # type: ignore[arg-type]


def line_with(start: str, session: Session, **options: object) -> str:
    found = [line for line in lines(session, **options) if line.strip().startswith(start)]
    assert len(found) == 1, (start, found)
    return found[0]


# --- headline ---


def test_headline() -> None:
    session = training()
    report = text.render(session, width=100)

    assert lines(session)[0].startswith("train.ipynb · 2026-01-0")
    assert session.total.energy_j == pytest.approx(300.0)
    assert "Energy: 300.0 ± 0.2 J = 0.0000833 kWh\n" in report
    assert "CO2: 3.67 mg CO₂e · France 2024, 44 g/kWh · lifecycle · PUE 1 · a table\n" in report
    assert "Cost: 0.0000208 EUR\n" in report
    assert "Time: 25 s, 4 cells, 1 running, open\n" in report
    assert "Source: measured: package-0, dram-0 (rapl)\n" in report
    assert "Not used: nvml: no NVIDIA driver; install one\n" in report


def test_without_a_place_the_report_says_how_to_set_one() -> None:
    report = text.render(training(intensity=None))

    assert "CO2: set a place with `%green place FR` (or `jupyter green place FR`)" in report
    assert "CO₂e" not in report


def test_without_a_price_there_is_no_cost() -> None:
    assert "Cost" not in text.render(training(pricing=Pricing()))


def test_places_that_change_are_all_named() -> None:
    story = Story(intensity=FRANCE)
    story.sleep(1.0)
    story.feed(IntensityChanged(intensity=None, **story.stamp()))
    story.sleep(1.0)
    assert "CO2: set a place" in text.render(story.session())
    story.feed(
        IntensityChanged(
            intensity=structs.replace(FRANCE, g_per_kwh=300.0, place="Poland", estimated=True),
            **story.stamp(),
        )
    )
    story.sleep(1.0)
    report = text.render(story.session())
    assert "CO2: not known, because no place was set for a part of the session" in report


def test_two_intensities_give_their_range() -> None:
    story = Story(intensity=FRANCE)
    story.sleep(1.0)
    other = structs.replace(FRANCE, g_per_kwh=300.0, place="Poland", estimated=True)
    story.feed(IntensityChanged(intensity=other, **story.stamp()))
    story.sleep(1.0)

    report = text.render(story.session())
    assert "2 intensities, 44 to 300 g/kWh, now Poland 2024, estimated" in report


def test_nothing_readable_is_no_counter_and_never_zero() -> None:
    story = Story(intensity=FRANCE, unread=EVERY)
    story.cell("x = 1")
    session = story.session()
    report = text.render(session)

    assert session.total.total_uj is None
    assert "Energy: no counter could be read" in report
    assert "no counter" in line_with("[1]", session)
    assert "CO2: not known, because no energy is" in report
    assert " 0 J" not in report


def test_a_missing_part_makes_a_lower_bound() -> None:
    story = Story(unread={"dram-0"})
    story.cell("x = 1", 1.2)
    session = story.close()

    assert "Energy: ≥ 12 J = 0.00000333 kWh (dram-0 missing)" in text.render(session)
    assert "≥ 12 J" in line_with("[1]", session)
    assert "dram-0 missing" in line_with("[1]", session)
    assert "±" not in text.render(session)


def test_models_say_so_and_state_their_assumption_once() -> None:
    story = Story(MODEL)
    story.cell("a")
    story.cell("b")
    report = text.render(story.session(), width=100)

    assert "Source: modelled: cpu-model (modelled)" in report
    assert "20.0 ± 8.1 J" in report
    assert report.count("cpu-model modelled (± 40 %): 10 W idle, 65 W busy.") == 1
    assert line_with("[1]", story.session()).endswith("modelled")


@pytest.mark.parametrize(
    ("end", "words"),
    [("goodbye", "0 s, 0 cells, closed"), ("kernel died", "ended without goodbye, kernel died")],
)
def test_state(end: str, words: str) -> None:
    assert words in text.render(Story().close(end))


# --- cells ---


def test_cells() -> None:
    session = training()

    first = line_with("[1]", session)
    assert re.search(r"\[1\] +import torch +12\.00 ± 0\.13 J +4 % +1 s +0\.147 mg", first)
    assert "acc 0.9" in line_with("[2]", session)
    assert "failed: ZeroDivisionError" in line_with("[4]", session)
    assert "running" in line_with("[*]", session)
    report = text.render(session, width=100)
    assert "superseded, run 1 of 2" in report
    assert "run 2 of 2" in report


def test_a_cell_that_runs() -> None:
    """What it has used so far, or nothing where nothing is known: never 0."""
    story = Story()
    story.cell("before")
    story.begin("while True: pass", {"label": "endless"})
    fresh = line_with("[*]", story.session())
    assert fresh.split() == ["[*]", "endless", "running"]
    story.sleep(3.0)
    later = line_with("[*]", story.session())
    assert re.search(r"\[\*\] +endless +36\.00 ± 0\.13 J +75 % +3 s +running, so far$", later)


def test_a_cell_that_runs_without_counters() -> None:
    story = Story(PACKAGE, unread=["package-0"])
    story.begin("while True: pass")
    story.sleep(3.0)
    assert "no counter" in line_with("[*]", story.session())


def test_spans_are_indented_below_their_cell() -> None:
    found = lines(training())
    cell = next(index for index, line in enumerate(found) if line.strip().startswith("[3]"))
    below = [line for line in found[cell + 1 : cell + 4] if "epoch" in line]

    assert [line.split()[:2] for line in below] == [["epoch", "1"], ["epoch", "2"]]
    start = found[cell].index("mlp")
    assert all(line.index("epoch") == start + 2 for line in below)


def test_spans_outside_cells_and_within_each_other() -> None:
    story = Story()
    story.feed(SpanStarted(span=1, name="outer", **story.stamp()))
    story.span(2, "inner", parent=1)
    story.feed(SpanFinished(span=1, **story.stamp()))
    story.cell("x")
    found = [line for line in lines(story.session()) if line.startswith("     ")]

    assert [line.split()[0] for line in found[-3:]] == ["outside", "outer", "inner"]
    assert found[-1].index("inner") == found[-2].index("outer") + 2


def test_a_ring_of_parents_is_no_endless_loop() -> None:
    story = Story()
    for span, parent in ((1, 3), (2, 1), (3, 2), (4, 4)):
        story.span(span, f"span {span}", parent=parent)

    assert "span 4" in text.render(story.session())


def test_too_short_for_its_counters() -> None:
    story = Story(lag_uj=100_000)
    story.cell("pass", 0.001)
    line = line_with("[1]", story.session())

    assert "12 mJ" in line
    assert "below resolution" in line
    assert "±" not in line


def test_a_long_session_shows_what_cost_most() -> None:
    story = Story()
    for index in range(1000):
        story.cell(f"cell {index}", 0.01 if index % 25 else 1.0)
    session = story.session()
    shown = [line for line in lines(session) if "] " in line]

    assert len(shown) == 40
    assert [line.split()[0] for line in shown[:3]] == ["[1]", "[26]", "[51]"]
    rest = sum(c.energy.total_uj for c in session.cells if (c.number - 1) % 25)
    assert rest == pytest.approx(960 * 0.12e6)
    assert "+ 960 cells with 115 J" in text.render(session)
    assert len([line for line in lines(session, everything=True) if "] " in line]) == 1000


def test_cells_that_are_not_shown_count_once() -> None:
    story = Story()
    for index in range(40):
        story.cell(f"cell {index}", 2.0)
    outer = story.begin("%%capture")
    inner = story.begin("inside", parent=outer)
    story.sleep(1.0)
    story.end(inner)
    story.end(outer)

    assert "+ 2 cells with 12 J" in text.render(story.session())


def test_many_spans_are_cut_too() -> None:
    story = Story()
    number = story.begin("fit()")
    for index in range(100):
        story.span(index, f"epoch {index}", 0.1, cell=number)
    story.end(number)

    assert sum("epoch" in line for line in lines(story.session())) == 8
    assert "+ 92 spans" in text.render(story.session())
    assert sum("epoch" in line for line in lines(story.session(), everything=True)) == 100


def test_an_empty_session() -> None:
    assert "No cell has run yet." in text.render(Story().session())


# --- ledger ---


def test_the_ledger_has_the_folds_totals() -> None:
    session = training()
    expected = {
        "productive": (132.0, "44 %"),
        "superseded": (60.0, "20 %"),
        "failed": (24.0, "8 %"),
        "running": (36.0, "12 %"),
        "between cells": (48.0, "16 %"),
    }
    parts = Table.of(session).ledger

    assert [part.name for part in parts] == list(expected)
    for part in parts:
        joules, share = expected[part.name]
        assert session.ledger.entries[part.name].total_uj == pytest.approx(joules * 1e6)
        assert (part.energy, part.share) == (f"{joules:.0f} J", share)
        assert line_with(part.name, session).split()[-4:] == [f"{joules:.0f}", "J", *share.split()]
    assert sum(part.fraction for part in parts) == pytest.approx(1.0)


# --- notes ---


def test_every_doubt_is_a_sentence() -> None:
    story = Story()
    story.sleep(1.0)
    story.feed(
        CounterLost(t=1.0, counter="dram-0", since=1.0, reason="it stands still", remedy="reboot")
    )
    story.sleep(1.0)
    story.feed(CounterRestored(t=2.0, counter="dram-0", since=1.0, lost=True))
    story.feed(RecorderRestarted(t=2.5, since=2.0, reason="killed"))
    story.feed(OverlapSeen(t=2.5, session="other", pid=9, notebook="b.ipynb"))
    story.feed(JournalThinned(t=2.5, dropped=3, since=2.0, reason="the disk is full"))
    story.fold.feed_lines(b"{torn\n" + b'{"kind":"from_the_future","t":3}\n')
    report = text.render(story.session())

    assert (
        "dram-0 could not be read from 1 s to 2 s (it stands still); its energy then is not "
        "known, so totals with it are lower bounds: reboot." in report
    )
    assert (
        "The recorder was restarted once, and no samples were taken for 500 ms (killed)" in report
    )
    assert "b.ipynb (session other) read the same counters, seen at 2.5 s" in report
    assert "the disk is full" in report
    assert "3 power samples could not be written" in report
    assert "1 line of the journal could not be read" in report
    assert "1 event of a newer version" in report


def test_a_counter_that_does_not_come_back() -> None:
    story = Story()
    story.feed(CounterLost(t=0.0, counter="dram-0", since=0.0, reason="gone"))
    assert "from 0 s on, and has not come back (gone)" in text.render(story.session())


def test_holes_of_one_kind_are_one_sentence() -> None:
    story = Story()
    for since in range(5):
        story.feed(CounterLost(t=since, counter="dram-0", since=since, reason="flaky"))
        story.feed(CounterRestored(t=since + 0.5, counter="dram-0", since=since, lost=False))
    report = text.render(story.session())

    assert "dram-0 could not be read 5 times, for 2.5 s in all (flaky)" in report
    assert report.count("could not be read") == 1


# --- nothing breaks the table ---

HARMFUL = {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("width", [10, 40, 60, 80, 100, 200])
def test_hostile_text_breaks_no_line(width: int) -> None:
    session = hostile()
    report = text.render(session, width=width)

    for line in report.split("\n"):
        assert not {unicodedata.category(c) for c in line} & HARMFUL, repr(line)
        assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(line)
    table = report.split("\n\n")[1].split("\n")
    assert len([line for line in table if re.match(r" *\[ *\d+\]", line)]) in (len(HOSTILE), 0)
    assert max(map(display_width, table)) <= max(40, width)
    report.encode("utf-8")


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_columns_stay_in_line(width: int) -> None:
    story = Story()
    for label in ("plain", "漢字漢字漢字", "e\u0301te\u0301", "x" * 300):
        story.cell(label)
    table = text.render(story.session(), width=width).split("\n\n")[1].split("\n")

    ends = {display_width(line[: line.index(" J") + 2]) for line in table[1:]}
    assert len(ends) == 1


@pytest.mark.parametrize(
    ("dirty", "cleaned"),
    [
        ("\x1b[1;31mred\x1b[0m text", "red text"),
        ("a\nb\r\n\tc", "a b c"),
        ("\x1b]0;evil title\x07label", "label"),
        ("\x9b31mred", "red"),
        ("left\u202eright", "leftright"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("\ud800", "\ufffd"),
        ("a\x00b\x08c", "a b c"),
        ("ends in an escape\x1b", "ends in an escape"),
        ("été 漢字 µJ ±", "été 漢字 µJ ±"),
    ],
)
def test_clean(dirty: str, cleaned: str) -> None:
    assert clean(dirty) == cleaned


@given(st.text(alphabet=st.characters(), max_size=80))
def test_clean_text_is_harmless_and_stays_so(dirty: str) -> None:
    once = clean(dirty)
    assert clean(once) == once
    assert not {unicodedata.category(character) for character in once} & HARMFUL


@given(st.text(max_size=60), st.integers(min_value=1, max_value=40))
def test_cut_text_fits(long: str, width: int) -> None:
    assert display_width(cut(long, width)) <= width


def test_display_width() -> None:
    assert [display_width(s) for s in ("abc", "漢字", "e\u0301", "")] == [3, 4, 1, 0]
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("short", 5) == "short"


def test_the_width_of_the_terminal_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(PACKAGE)
    story.cell("x" * 300)
    monkeypatch.setenv("COLUMNS", "73")

    assert text.render(story.session()) == text.render(story.session(), width=73)
    assert text.render(story.session()) != text.render(story.session(), width=100)
