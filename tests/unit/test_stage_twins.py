"""Two accounts of energy by stage, one meaning: the panel's, in TypeScript, says what Python says.

``tests/golden/stages`` holds both to what is meant; here both are given journals that nobody
thought of.
"""

import json
import random
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from msgspec import structs

from jupyter_green.events import CellFinished, CellStarted, Event, SpanFinished, SpanStarted, Tags
from jupyter_green.insight.stages import by_stage
from jupyter_green.sessions.fold import Fold
from tests.golden import digest
from tests.golden.stages import table
from tests.simulators.story import Story
from tests.unit.test_fold_twins import LABEXTENSION, damaged, differences, journal, node
from tests.unit.test_ledger_properties import (
    Teller,
    any_event,
    first_lines,
    header,
    numbers,
    parents,
    stamp,
)

ANY_STREAMS = 200
SENSIBLE_SESSIONS = 100

STAGES = (
    None,
    None,
    "training",
    "Training ",
    "evaluation",
    "DATA",
    "  ",
    "Straße",
    "ΟΔΟΣ",
    "\u0131",
)
SUGGESTED = (None, "training", "data", "evaluation")


# --- what was meant ---


@pytest.mark.parametrize("path", table.journals(), ids=lambda path: path.stem)
def test_stages_are_what_they_were(path: Path) -> None:
    """After a deliberate change: python -m tests.golden.stages, and read the difference."""
    told = json.loads(json.dumps(table.rows(path.read_bytes()), allow_nan=False))
    assert told == json.loads(table.EXPECTED.read_text("utf-8"))[path.stem]


def test_every_expectation_has_its_journal() -> None:
    expected = json.loads(table.EXPECTED.read_text("utf-8"))
    assert list(expected) == [path.stem for path in table.journals()]


def test_stages_that_were_worked_out_by_hand() -> None:
    """30 W all the time: 10 of the package, 20 of a model."""
    told = json.loads(table.EXPECTED.read_text("utf-8"))["nested_stages"]["session"]
    joules = {(row["name"], row["suggested"]): row["total_uj"] / 30e6 for row in told}
    assert joules == {
        ("training", True): 6,  # 8 s, less the validation within it
        ("training", False): 1,
        ("tuning", False): 3,  # 4 s, less the validation within it
        ("evaluation", False): 3,
        ("evaluation", True): 2,  # a cell within it does not count, a report does
        ("reporting", False): 1,
        ("data", True): 2,  # a blank tag is none
        ("data", False): 2,  # 4 s, less the first of two spans that overlap
        ("s5", False): 2,
        ("outer", False): 1,  # of two that begin together, the shorter lies in the longer
        ("inner", False): 1,
        ("modeling", False): 1,
        ("strasse \u03c3", False): 2,
        (None, False): 1,
    }


# --- what nobody thought of ---


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The panel's stages as a program that prints them."""
    bundled = tmp_path_factory.mktemp("bundle") / "stages.mjs"
    build = (
        "import { build } from 'esbuild'; await build({ bundle: true, platform: 'node', "
        f"format: 'esm', entryPoints: ['src/session/testing/stagesof.ts'], "
        f"outfile: {json.dumps(str(bundled))} }})"
    )
    command = [node(), "--input-type=module", "--eval", build]
    subprocess.run(command, cwd=LABEXTENSION, check=True, timeout=120)
    return bundled


def assert_twins(program: Path, directory: Path, streams: Iterable[bytes]) -> list[Any]:
    """Both say the same of every journal; what they say."""
    paths = []
    for index, data in enumerate(streams):
        paths.append(directory / f"{index}.ndjson")
        paths[-1].write_bytes(data)
    command = [node(), str(program), *map(str, paths)]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    told = [json.loads(line) for line in answer.splitlines()]
    assert len(told) == len(paths) > 0
    for path, twin in zip(paths, told, strict=True):
        expected = json.loads(json.dumps(table.rows(path.read_bytes())))
        assert list(differences(expected, twin, path.stem)) == [], path.read_text("utf-8")
    return told


def named(told: Iterable[Any]) -> list[Any]:
    """The rows that have a name, of all sessions."""
    sessions = [one["session"] for one in told if "session" in one]
    return [row for rows in sessions for row in rows if row["name"] is not None]


def staged(event: Event, chance: random.Random) -> Event:
    """The same with a stage, sometimes."""
    if isinstance(event, (CellStarted, SpanStarted)):
        tags = structs.replace(event.tags, stage=chance.choice(STAGES))
        event = structs.replace(event, tags=tags)
    if isinstance(event, CellStarted):
        event = structs.replace(event, suggested_stage=chance.choice(SUGGESTED))
    return event


tags = st.builds(Tags, stage=st.sampled_from(STAGES))
cells_and_spans: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        CellStarted,
        **stamp,
        number=numbers,
        cell=st.just("a"),
        tags=tags,
        suggested_stage=st.sampled_from(SUGGESTED),
    ),
    st.builds(CellFinished, **stamp, number=numbers, status=st.just("ok")),
    st.builds(SpanStarted, **stamp, span=numbers, name=st.just("s"), tags=tags, cell=parents),
    st.builds(SpanFinished, **stamp, span=numbers),
)


def any_streams() -> list[bytes]:
    """Random streams, the same in every run, so that one call of node does for all."""
    streams: list[bytes] = []

    @seed(11)
    @settings(
        max_examples=ANY_STREAMS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(first_lines, st.lists(cells_and_spans | any_event, min_size=20, max_size=60))
    def collect(first: Event, events: list[Event]) -> None:
        streams.append(journal([first, *events]))

    collect()
    return streams


class StageTeller(Teller):
    """Tells sessions whose cells hold spans: one within another, side by side, and crossing."""

    def step(self) -> None:
        self.work()
        self.rng.choice([self._outer, self._outer, *[self._inside] * 4, self._pause, self._inner])()

    def _outer(self) -> None:
        if self.owner is not None and self.rng.random() < 0.5:
            for kind, number in [key for key in self.open if key[0] == "span"]:
                self._close(kind, number)
        super()._outer()

    def _inside(self) -> None:
        # Of overlapping spans one may end first, and some end after their cell, or begin before it.
        cell = self.rng.choice([*[self.owner or self.number] * 4, self.number + 2])
        self._toggle("span", "span", cell=cell)


def told_session(number: int, steps: int = 80) -> bytes:
    teller = StageTeller(random.Random(number))
    teller.begin()
    for _ in range(steps):
        teller.step()
    chance = random.Random(number)
    return journal(staged(event, chance) for event in teller.events)


def test_any_stream_has_the_same_stages(program: Path, tmp_path: Path) -> None:
    streams = any_streams()
    assert len(streams) >= ANY_STREAMS
    told = assert_twins(program, tmp_path, streams)
    assert len(named(told)) > 50


def test_sensible_sessions_have_the_same_stages(program: Path, tmp_path: Path) -> None:
    streams = list(map(told_session, range(SENSIBLE_SESSIONS)))
    told = assert_twins(program, tmp_path, streams)
    kinds = {(row["name"], row["suggested"]) for row in named(told)}
    assert {("training", True), ("training", False), ("strasse", False)} <= kinds
    assert any(spans_within_cells(data) for data in streams)


def spans_within_cells(data: bytes) -> bool:
    fold = Fold()
    fold.feed_lines(data)
    session = fold.session()
    cells = {cell.number: cell for cell in session.cells if cell.owns_time}
    return any(
        span.cell in cells and span.tags.stage and span.finished_s <= cells[span.cell].finished_s
        for span in session.spans
        if span.cell is not None
    )


def test_damaged_journals_have_the_same_stages(program: Path, tmp_path: Path) -> None:
    sessions = [damaged(told_session(number), number) for number in range(SENSIBLE_SESSIONS)]
    assert_twins(program, tmp_path, sessions)


def test_golden_journals_have_the_same_stages(program: Path, tmp_path: Path) -> None:
    assert_twins(program, tmp_path, (path.read_bytes() for path in table.journals()))
    assert set(digest.journals()) < set(table.journals())


def test_every_letter_is_folded_alike(program: Path, tmp_path: Path) -> None:
    """Those of an old Unicode, which all know: one cell each, whose energy is its own."""
    assigned = unicodedata.ucd_3_2_0.category
    letters = [
        letter
        for letter in map(chr, range(sys.maxunicode + 1))
        if assigned(letter).startswith("L") and (letter.casefold() != letter or letter == "\u0131")
    ]
    assert len(letters) > 800
    uj = 0
    events: list[Event] = [header(uj={"package-0": uj})]
    for number, letter in enumerate(letters, 1):
        tags = Tags(stage=f"{letter}{number}")
        at: dict[str, Any] = {"t": number, "number": number}
        events.append(CellStarted(cell="a", tags=tags, uj={"package-0": uj}, **at))
        uj += number
        events.append(CellFinished(status="ok", uj={"package-0": uj}, **at))
    [told] = assert_twins(program, tmp_path, [journal(events)])
    assert len(named([told])) == len(letters)


def test_a_span_that_outlasts_its_cell_counts_with_the_cell() -> None:
    story = Story()
    number = story.begin("fit()", {"stage": "training"})
    story.feed(SpanStarted(span=1, name="s", cell=number, tags=Tags(stage="x"), **story.stamp()))
    story.sleep(1.0)
    story.end(number)
    story.sleep(1.0)
    story.feed(SpanFinished(span=1, **story.stamp()))
    assert [row.name for row in by_stage(story.session())] == ["training", None]
