"""The pictures: what they draw is what the session holds, and it is drawn without a network."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from jupyter_green.events import CounterInfo, CounterLost, CounterRestored
from jupyter_green.report import series, vega, vega_parts
from jupyter_green.report.studies import compared_drawn
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from jupyter_green.units import uj_to_j
from tests.golden.digest import journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import DRAM, MODEL, PACKAGE, Story, hostile, training

NAMES = ("power", "cells", "sources", "stages", "ledger", "accuracy", "labels")
SHOWN = {"text/html", "image/svg+xml"}
"""What a chart gives a notebook: for its page, and for what makes something else of it."""
ONE_EACH = ("cells", "sources", "ledger", "stages")
"""The charts with one bar a thing."""


def drawn(spec: vega_parts.Spec) -> list[list[dict[str, Any]]]:
    """The rows of each layer."""
    return [layer["data"]["values"] for layer in spec.get("layer", [spec])]


def rows(spec: vega_parts.Spec) -> list[dict[str, Any]]:
    """All rows that a chart draws from."""
    return [row for layer in drawn(spec) for row in layer]


def bars(spec: vega_parts.Spec) -> dict[str, float]:
    """Length of each bar by its name."""
    values = drawn(spec)[0]
    found = {row["name"]: row["energy"] for row in values}
    assert len(found) == len(values), "two bars lie on each other"
    return found


def loaded(journal: Path) -> Session:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    return fold.session()


def learning(*values: float) -> Session:
    """A run of as many epochs, 12 J each."""
    story = Story()
    number = story.begin("fit()", {"label": "mlp"})
    for step, value in enumerate(values):
        story.sleep(1.0)
        story.metric("accuracy", value, cell=number, step=step, direction="higher")
    story.end(number)
    return story.close()


# --- the power line ---


@pytest.mark.parametrize("stretches", [1, 7, 600])
def test_the_power_line_holds_the_energy_of_the_session(stretches: int) -> None:
    session = training()

    line = series.power(session, stretches)

    for name in ("package-0", "dram-0"):
        joules = sum(watt * line.every_s for watt in line.watts[name] if watt is not None)
        assert joules == pytest.approx(uj_to_j(session.total.uj[name]), rel=1e-9)
    assert set(line.watts) == {"package-0", "dram-0"}, "details are not stacked on their whole"


def test_the_power_line_says_the_watts() -> None:
    line = series.power(training())

    assert line.watts["package-0"] == pytest.approx([10.0] * series.STRETCHES)
    assert line.watts["dram-0"] == pytest.approx([2.0] * series.STRETCHES)


def test_what_is_not_known_is_no_zero() -> None:
    story = Story(PACKAGE, DRAM)
    story.sleep(4.0)
    story.unread.add("dram-0")
    story.feed(CounterLost(t=story.t, counter="dram-0", since=story.t, reason="gone"))
    story.sleep(4.0)
    story.feed(CounterRestored(t=story.t, counter="dram-0", since=4.0))
    story.unread.clear()
    story.sleep(2.0)

    watts = series.power(story.close(), 10).watts

    assert watts["dram-0"][:4] == pytest.approx((2.0,) * 4)
    assert watts["dram-0"][4:8] == (None,) * 4
    assert watts["package-0"] == pytest.approx((10.0,) * 10)


def test_a_session_without_time_has_no_power() -> None:
    assert series.power(Story().close()).watts == {}


def test_cells_are_bands() -> None:
    session = training()
    spans = {(row["since"], row["until"]) for row in rows(vega.power(session)) if "since" in row}

    assert spans == {(cell.started_s, cell.finished_s) for cell in series.owners(session)}


# --- bars ---


def test_the_ledger_is_the_session() -> None:
    session = training()
    found = bars(vega.ledger(session))

    assert found == {
        name: uj_to_j(entry.total_uj)
        for name, entry in session.ledger.entries.items()
        if entry.total_uj
    }
    assert sum(found.values()) == session.total.energy_j


def test_cells_are_their_energies_the_dearest_first() -> None:
    assert list(bars(vega.cells(training())).values()) == [120.0, 60.0, 24.0, 12.0]


def test_bounds_of_cells() -> None:
    session = training()
    bounds = drawn(vega.cells(session))[1]

    widths = [row["high"] - row["low"] for row in bounds]
    dearest = sorted(session.cells, key=lambda cell: -(cell.energy.total_uj or 0))
    expected = [2 * cell.energy.bound_j for cell in dearest]
    assert widths == pytest.approx(expected, abs=0.02)


def test_sources_are_the_counters_and_details_are_told_apart() -> None:
    session = training()
    found = rows(vega.sources(session))

    assert {row["name"]: row["energy"] for row in found} == {
        name: uj_to_j(uj) for name, uj in session.total.uj.items()
    }
    assert {row["name"] for row in found if row["group"] == "not in the total"} == {"core-0"}


def test_stages_add_up_to_the_session() -> None:
    session = training()
    found = bars(vega.stages(session))

    assert found == {"train": 180.0, "no stage": 120.0}
    assert sum(found.values()) == session.total.energy_j


@pytest.mark.parametrize(
    ("uj", "unit"),
    [
        (0, "J"),
        (900, "mJ"),
        (2_000_000, "J"),
        (20e9, "kJ"),
        (400e9, "Wh"),
        (4e12, "kWh"),
        (None, "J"),
    ],
)
def test_units_that_read_well(uj: float | None, unit: str) -> None:
    assert vega_parts.energy_unit([uj])[0] == unit


def test_each_counter_has_a_colour_of_its_own() -> None:
    gpus = [
        CounterInfo(
            name=f"gpu-{index}",
            domain="gpu",
            source="nvml",
            provenance="measured",
            resolution_s=0.1,
        )
        for index in range(3)
    ]
    session = Story(PACKAGE, DRAM, *gpus, unread=[gpu.name for gpu in gpus]).close()

    colours = vega._source_colours(session)

    assert len(set(colours.values())) == len(colours) == 5


# --- what it bought ---


def test_the_metric_stands_over_its_energy() -> None:
    session = learning(0.5, 0.7, 0.8)
    values = [row for row in rows(vega.accuracy(session)) if "run" in row]

    assert [(row["energy"], row["value"]) for row in values] == [(12, 0.5), (24, 0.7), (36, 0.8)]
    assert {row["run"] for row in values} == {"mlp"}


def test_the_best_value_is_ringed_and_what_follows_the_knee_is_shaded() -> None:
    session = learning(0.5, 0.8, 0.9, 0.95, 0.949, 0.951, 0.95, 0.952, 0.952, 0.95)
    marks = [row for row in rows(vega.accuracy(session)) if "run" not in row]

    assert {"energy": 96, "value": 0.952} in marks
    (past,) = (row for row in marks if "until" in row)
    assert 24 <= past["energy"] <= 60
    assert past["until"] == 120


def test_long_runs_are_thinned_and_keep_their_ends_and_best() -> None:
    values = [0.5] * 5000
    values[3333] = 0.9
    thinned = [row for row in rows(vega.accuracy(learning(*values))) if "run" in row]

    assert len(thinned) <= vega.MOST_POINTS + 2
    assert 0.9 in {row["value"] for row in thinned}
    assert thinned[-1]["step"] == 4999


def test_a_metric_by_its_name() -> None:
    story = Story()
    story.metric("loss", 0.3, direction="lower")
    story.metric("accuracy", 0.9, direction="higher")
    session = story.close()

    def values(name: str | None) -> set[float]:
        return {row["value"] for row in rows(vega.accuracy(session, name)) if "run" in row}

    assert values(None) == {0.9}
    assert values("loss") == {0.3}


def test_labels_show_every_run_and_the_mean() -> None:
    story = Story()
    for label, seconds in (("small", 1.0), ("large", 4.0), ("small", 3.0)):
        story.cell("fit()", seconds, label=label)
    session = story.close()
    intervals, dots, means = drawn(session.charts.labels().to_dict())

    assert sorted((row["name"], row["value"]) for row in dots) == [
        ("large", 48),
        ("small", 12),
        ("small", 36),
    ]
    assert means == [{"name": "small", "value": 24}, {"name": "large", "value": 48}]
    assert [row["name"] for row in intervals] == ["small"]


def test_one_label_is_compared_with_nothing() -> None:
    assert not any(drawn(training().charts.labels().to_dict()))


# --- all of them, of all sessions ---


def everything() -> Iterator[Any]:
    yield pytest.param(training(), id="usual")
    yield pytest.param(hostile(), id="hostile")
    yield pytest.param(Story().close(), id="empty")
    yield pytest.param(Story(MODEL, unread=[MODEL.name]).close(), id="no counter")
    for path in journals():
        if path.stem != "newer_major":
            yield pytest.param(loaded(path), id=path.stem)


@pytest.mark.parametrize("session", list(everything()))
def test_every_picture_of_every_session_can_be_drawn(session: Session) -> None:
    for name in NAMES:
        chart = getattr(session.charts, name)()
        svg = vega_parts.svg(chart.to_dict())
        assert isinstance(chart, alt.Chart | alt.LayerChart)
        assert svg.startswith("<svg")
        assert svg.count(">NaN<") == svg.count(">undefined<") == 0


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_names_are_values_and_nothing_else(text: str) -> None:
    """A name as a field would be read as a path, one in a formula would be run."""
    session = evil(text)
    for name in NAMES:
        spec = getattr(vega, name)(session) if name != "labels" else compared_labels(text)
        assert len(json.dumps(spec)) < 150_000
        fields = {value for key, value in pairs(spec) if key in ("field", "sort", "href", "expr")}
        assert fields <= {
            *("t", "w", "source", "order", "since", "until", "cell", "category", "energy"),
            *("colour", "name", "low", "high", "group", "run", "value", "step", None),
        }
        for row in rows(spec):
            assert max(len(value) for value in row.values() if isinstance(value, str)) < 60


def compared_labels(text: str) -> vega_parts.Spec:
    story = Story()
    for label in (text or "no text", f"{text} again"):
        story.cell(text, label=label)
    spec = compared_drawn.of_session(story.close())
    assert len(drawn(spec)[-1]) == 2
    return spec


def pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, but for what stands in data."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(inner, dict | list):
                yield key, inner
            if key not in ("data", "datasets"):
                yield from pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pairs(inner)


# --- in a notebook ---


def test_a_chart_shows_itself_without_a_network() -> None:
    data, _ = training().charts.ledger()._repr_mimebundle_()

    assert set(data) == SHOWN
    for picture in data.values():
        assert "productive" in picture
        assert "<script" not in picture
        assert "http" not in picture.replace("http://www.w3.org/", "")


def test_words_in_a_page_have_the_page_s_colour_and_the_ground_is_the_page_s() -> None:
    data, _ = training().charts.sources()._repr_mimebundle_()
    page, picture = data["text/html"], data["image/svg+xml"]

    assert 'fill="#000"' not in page
    assert 'fill="currentColor"' in page
    assert 'fill="white"' not in page
    assert 'fill="white"' in picture, "a converter puts it on who knows what"


def test_names_within_drawings_of_one_page_do_not_clash() -> None:
    pictures = (session.charts.ledger().mark_bar(clip=True) for session in (training(), hostile()))
    pages = [chart._repr_mimebundle_()[0]["text/html"] for chart in pictures]
    first, second = (set(re.findall(r'\bid="([^"]+)', page)) for page in pages)

    assert first
    assert second
    assert not first & second


def test_a_ground_that_the_user_chose_is_kept() -> None:
    chart = training().charts.ledger().properties(background="#123456")

    assert 'fill="#123456"' in chart._repr_mimebundle_()[0]["text/html"]


def test_whoever_chose_a_renderer_gets_it() -> None:
    chart = training().charts.power()
    with alt.renderers.enable("json"):
        shown = chart._repr_mimebundle_()
    assert "application/json" in shown[0]


def test_charts_are_altair_s_own_and_can_be_changed() -> None:
    wide = training().charts.ledger().properties(width=1000)

    assert wide.to_dict()["width"] == 1000
    assert set(wide._repr_mimebundle_()[0]) == SHOWN


HEAVY = "print(sorted({'altair', 'vl_convert', 'pandas', 'numpy'} & set(sys.modules)))"


def test_altair_is_loaded_on_use() -> None:
    code = (
        "import sys, jupyter_green.api, jupyter_green.report.charts, jupyter_green.report.html.page"
    )
    assert ran(f"{code}; {HEAVY}") == "[]"


def test_a_report_needs_no_altair() -> None:
    """It takes longer to load than the report to be made."""
    code = (
        "import sys; from jupyter_green.report.html import page; "
        "from jupyter_green.sessions import library; "
        f"page.render(library.load({str(journals()[0])!r})); "
    )
    assert ran(code + HEAVY) in ("[]", "['vl_convert']")


def ran(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_pictures_say_what_there_is() -> None:
    shown = repr(training().charts)
    assert all(name in shown for name in NAMES)
