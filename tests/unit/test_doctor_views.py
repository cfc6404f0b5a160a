"""The doctor's findings as text and as HTML: the same words, readable, and nothing comes alive."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from jupyter_green.doctor import fragment, text
from jupyter_green.doctor.findings import (
    Check,
    Compared,
    Examination,
    Recipe,
    SecondOpinion,
    Step,
    Watched,
)
from jupyter_green.doctor.page import COLUMNS, Page
from jupyter_green.events import CounterInfo, Machine, Refusal
from tests.simulators.story import CORE, DRAM, HOSTILE, MODEL, PACKAGE

LONG = (
    f"sudo chmod 0400 {' '.join(f'/sys/devices/virtual/{number}/energy_uj' for number in range(9))}"
)

FOUND = Examination(
    machine=Machine(system="Linux 6.8", cpu="A Processor", cores=4, virtual="vm"),
    watched_s=2.0,
    counters=(
        Watched(counter=PACKAGE, power_w=35.0, update_s=0.00103, step_uj=34_000, bound_j=0.0315),
        Watched(counter=DRAM, problem="dram-0: No such file", remedy="look for it"),
        Watched(counter=CORE, power_w=22.0, update_s=0.001, bound_j=0.02),
        Watched(counter=MODEL, power_w=20.0, update_s=0.0002, every_reading=True, bound_j=8.2),
    ),
    power_w=55.0,
    bound_j=8.25,
    refused=(
        Refusal(source="rapl", counter="psys", reason="it is closed", remedy=LONG),
        Refusal(source="rapl", counter="psys-1", reason="it is closed, too", remedy=LONG),
        Refusal(source="perf", reason="it is forbidden", remedy="allow it " * 20),
        Refusal(source="pyrapl", reason="used only where it is named", by_choice=True),
    ),
    recipes=(
        Recipe(
            title="Open the counters",
            opens="a side channel",
            steps=(
                Step(text="Do this, as an administrator: " + "word " * 30, lines=(LONG, "  inner")),
                Step(text="And nothing else."),
            ),
        ),
    ),
    second_opinion=SecondOpinion(
        duration_s=2.0,
        compared=(Compared(counter="package-0", ours_w=35.0, theirs_w=35.1, difference=0.0029),),
    ),
    checks=(
        Check(about="counters", verdict="ok", text="the total holds 55 W now"),
        Check(about="place", verdict="note", text="none is set", remedy="jupyter green place FR"),
        Check(about="journal", verdict="problem", text="no room " * 20, remedy="make room " * 10),
    ),
)


def hostile() -> Examination:
    evil = "".join(HOSTILE)
    info = CounterInfo(
        name=evil,
        domain=evil,
        source=evil,
        provenance=evil,
        resolution_s=0.1,
        device=evil,
        part_of=evil,
        assumption=evil,
    )
    return Examination(
        machine=Machine(system=evil, cpu=evil, cores=1),
        counters=(
            Watched(counter=info, power_w=1.0, bound_j=0.1, problem=evil, remedy=evil),
            Watched(counter=info, problem=evil),
        ),
        power_w=1.0,
        bound_j=0.1,
        refused=(
            Refusal(source=evil, counter=evil, reason=evil, remedy=evil),
            Refusal(source=evil, reason=evil, by_choice=True),
        ),
        recipes=(Recipe(title=evil, opens=evil, steps=(Step(text=evil, lines=(evil,)),)),),
        checks=(Check(about=evil, verdict="ok", text=evil, remedy=evil),),
    )


# --- text ---------------------------------------------------------------------------------


def test_sections_in_their_order() -> None:
    shown = text.render(FOUND, width=80)
    places = [shown.index(word) for word in (text.MEASURED, text.NOT_MEASURED, "1. Open", "Checks")]
    assert places == sorted(places)
    assert shown.startswith("jupyter_green ")
    assert "Linux 6.8 · A Processor · 4 CPUs · virtual machine" in shown


def test_the_table_of_counters() -> None:
    lines = text.render(FOUND, width=80).splitlines()
    head = next(index for index, line in enumerate(lines) if line.split()[:1] == ["Counter"])
    rows = [line for line in lines[head:] if re.match(r"  \S", line)][:5]
    assert [re.split(r" {2,}", row.strip()) for row in rows] == [
        list(COLUMNS),
        ["package-0", "35 W", "1.03 ms", "1 ms", "34 mJ", "± 31.5 mJ", "yes"],
        ["dram-0", "missing", "not seen", "1 ms", "yes"],
        ["core-0", "22 W", "1 ms", "1 ms", "± 20 mJ", "no"],
        ["cpu-model", "20 W", "reading", "10 ms", "± 8.2 J", "yes"],
    ]
    assert len({len(row) for row in rows} - {len(rows[0])}) <= 1  # aligned at the right: yes, no
    shown = "\n".join(lines)
    assert "(core, inside package-0), measured by rapl." in shown
    assert "dram-0: No such file." in shown
    assert "modelled (± 40 %) by modelled. Assumes 10 W idle, 65 W busy." in shown
    assert "Total: At least 55 W over 2 s." in shown
    assert "Missing: dram-0." in shown


@pytest.mark.parametrize("width", [60, 80, 100])
def test_only_lines_to_type_are_longer_than_the_window(width: int) -> None:
    shown = text.render(FOUND, width=width)
    long = [line.strip() for line in shown.splitlines() if len(line) > width]
    assert long == [f"-> {LONG}", LONG]
    # An indented line stays so, for YAML.
    assert "\n           inner\n" in shown


def test_a_narrow_window_leaves_columns_out() -> None:
    head = next(line for line in text.render(FOUND, width=60).splitlines() if "Power" in line)
    assert head.split() == ["Counter", "Power", "Moves", "every", "1", "s", "cell", "In", "total"]


@pytest.mark.parametrize("width", [1, 1000])
def test_odd_windows(width: int) -> None:
    lines = text.render(FOUND, width=width).splitlines()
    assert max(len(line) for line in lines if LONG not in line) <= text.WIDEST


def test_zones_that_are_closed_together_are_told_together() -> None:
    (rapl, perf) = Page.of(FOUND).refused
    assert rapl.what == "rapl: psys, psys-1"
    assert rapl.reason == "it is closed (and 1 more like it)."
    assert perf.what == "perf"
    assert Page.of(FOUND).unused == "pyrapl (used only where it is named)"


def test_problems_stand_out() -> None:
    shown = text.render(FOUND, width=80)
    assert re.search(r"^  PROBLEM  journal   no room", shown, re.M)
    assert re.search(
        r"^  note     place     none is set\.\n {21}-> jupyter green place FR$", shown, re.M
    )


def test_it_reads_without_the_signs_of_a_terminal() -> None:
    shown = text.render(FOUND, width=80).encode("ascii", "replace").decode()
    assert "? 31.5 mJ" in shown
    assert "-> jupyter green place FR" in shown


def test_no_figure_is_parted_from_its_unit() -> None:
    for width in range(60, 101):
        for line in text.render(FOUND, width=width).splitlines():
            assert not re.match(r"\s*(%|mJ|ms|W|J|s)(?!\w)", line), line


def test_nothing_steers_the_terminal() -> None:
    shown = text.render(hostile(), width=80)
    assert not set("\x1b\x9b\x07\x08\r\t\u202e\u2066") & set(shown)
    assert all(one.isprintable() or one == "\n" for one in shown)


def test_a_machine_that_measures_nothing() -> None:
    shown = text.render(Examination(), width=80)
    assert "Nothing is measured here." in shown
    assert text.NOTHING_REFUSED in shown
    assert "Nothing is measured here." in fragment.render(Examination())


# --- HTML ---------------------------------------------------------------------------------


class Parsed(HTMLParser):
    """Reads a fragment and complains about tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_says_what_the_text_says() -> None:
    shown, page = Parsed(fragment.render(FOUND)).text, Page.of(FOUND)
    for row in page.rows:
        assert row.detail in shown
        assert all(cell in shown for cell in row.cells)
    for refused in page.refused:
        assert refused.reason in shown
        assert refused.remedy in shown
    for recipe in page.recipes:
        assert recipe.opens in shown
        assert all("\n".join(step.lines) in shown and step.text in shown for step in recipe.steps)
    for check in page.checks:
        assert check.text in shown
        assert check.remedy in shown
    assert page.total in shown
    assert page.unused in shown


def test_every_row_has_every_column() -> None:
    parsed = Parsed(fragment.render(FOUND))
    heads = [attributes for tag, attributes in parsed.tags if tag == "th"]
    assert len(heads) == len(COLUMNS)
    assert {head["scope"] for head in heads} == {"col"}
    details = [a for tag, a in parsed.tags if tag == "td" and a.get("colspan") == str(len(COLUMNS))]
    assert len(details) == len(FOUND.counters)


@pytest.mark.parametrize(
    "found", [FOUND, hostile(), Examination()], ids=["usual", "hostile", "none"]
)
def test_nothing_comes_alive(found: Examination) -> None:
    html = fragment.render(found)
    parsed = Parsed(html)
    allowed = {"div", "span", "table", "thead", "tbody", "tr", "th", "td", "bdi", "b", "pre"}
    assert {tag for tag, _ in parsed.tags} <= allowed
    for _, attributes in parsed.tags:
        assert set(attributes) <= {"style", "scope", "colspan"}
        assert not re.search(r"url|expression|import|position|[<>\\]", attributes.get("style", ""))
    assert not set("\x1b\x9b\u202e\u2066") & set(html)
    if found.machine.cores == 1:
        assert "<script>alert(1)</script>" in parsed.text
        assert "onerror=alert(1)&gt;" in html


def test_themes_decide_the_colours_of_text() -> None:
    styles = ";".join(a.get("style", "") for _, a in Parsed(fragment.render(FOUND)).tags)
    assert not re.search(r"(?<![-a-z])color:(?!inherit)", styles)
    backgrounds = set(re.findall(r"background:([^;]+)", styles)) - {"none"}
    assert backgrounds <= set(fragment.COLOURS.values())
