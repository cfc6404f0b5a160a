"""The report as HTML: the same figures, well formed, and nothing in it comes alive."""

import re
from html.parser import HTMLParser

import pytest

from jupyter_green.report import fragment
from jupyter_green.report.table import Table
from tests.simulators.story import HOSTILE, Story, hostile, training

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """Reads a fragment and complains about tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.cells: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self._open):
            self.cells[-1] += data

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(fragment.render(training()))


def test_a_real_table_with_headers(page: Page) -> None:
    assert len(page.named("table")) == 1
    assert {attributes.get("scope") for attributes in page.named("th")} == {"col"}
    assert page.cells[:8] == ["", "Cell", "Energy", "Share", "Time", "CO₂e", "Metric", ""]
    assert page.cells[8:16] == [
        *("[1]", "import torch", "12.00 ± 0.13 J", "4 %", "1 s", "0.147 mg", "", ""),
    ]


def test_every_row_has_every_column(page: Page) -> None:
    rows = len(Table.of(training()).rows)

    assert len(page.named("tr")) == rows + 1
    assert len(page.named("td")) == rows * len(page.named("th"))


def test_numbers_are_right_aligned_and_tabular(page: Page) -> None:
    figures = [td["style"] for td in page.named("td")][2:4]

    assert all("text-align:right" in style for style in figures)
    assert "font-variant-numeric:tabular-nums" in page.named("div")[0]["style"]


def test_it_says_what_the_text_says(page: Page) -> None:
    shown = " ".join(page.texts)
    table = Table.of(training())

    for row in table.rows:
        for text in (row.label, row.energy, row.duration, *row.marks):
            assert text in shown
    for name, text in table.facts:
        assert text in shown
        assert f"{name}:" in shown or name == "Energy"


def test_the_bar_is_the_ledger(page: Page) -> None:
    ledger = Table.of(training()).ledger
    widths = [
        float(found[1])
        for tag in page.named("div")
        if (found := re.match(r"width:([\d.]+)%;background", tag.get("style", "")))
    ]

    assert widths == [pytest.approx(100 * part.fraction, abs=0.01) for part in ledger]
    assert sum(widths) == pytest.approx(100.0, abs=0.05)
    bar = next(tag for tag in page.named("div") if tag.get("role") == "img")
    assert bar["aria-label"] == ", ".join(f"{part.name} {part.share}" for part in ledger)
    assert all(part.name in " ".join(page.texts) for part in ledger)


@pytest.mark.parametrize("make", [training, hostile, lambda: Story().session()])
def test_nothing_comes_alive(make) -> None:
    page = Page(fragment.render(make()))
    allowed = {"div", "span", "table", "thead", "tbody", "tr", "th", "td", "bdi", "b", "ul", "li"}

    assert {tag for tag, _ in page.tags} <= allowed
    for _, attributes in page.tags:
        assert set(attributes) <= {"style", "scope", "role", "aria-label", "colspan"}
        assert not re.search(r"url|expression|import|position|[<>\\]", attributes.get("style", ""))


def test_themes_decide_the_colours_of_text() -> None:
    styles = ";".join(attributes.get("style", "") for _, attributes in _page().tags)

    assert not re.search(r"(?<![-a-z])color:(?!inherit)", styles)
    backgrounds = set(re.findall(r"background:([^;]+)", styles)) - {"none"}
    assert backgrounds <= set(fragment.COLOURS.values())


def _page() -> Page:
    return Page(fragment.render(training()))


def test_every_entry_of_the_ledger_has_a_colour() -> None:
    assert set(fragment.COLOURS) == set(training().ledger.entries)


def test_hostile_names_are_shown_as_text() -> None:
    html = fragment.render(hostile())
    page = Page(html)

    assert "<script" not in html
    assert "onerror=alert(1)&gt;" in html
    assert any("<script>alert(1)</script>" in text for text in page.texts)
    # One row a cell and one a span.
    assert len(page.named("tr")) == 1 + 2 * len(HOSTILE)
    assert not set("\x1b\x9b\u202e\u2066") & set(html)
    html.encode("utf-8")


def test_a_long_session_stays_small() -> None:
    story = Story()
    for index in range(2000):
        story.cell(f"cell {index}", 0.1)
    session = story.session()

    assert len(fragment.render(session)) < 100_000
    assert "+ 1960 cells with 2.35 kJ" in fragment.render(session)
    assert fragment.render(session, everything=True).count("<tr") == 2001


def test_an_empty_session() -> None:
    page = Page(fragment.render(Story().session()))

    assert "No cell has run yet." in page.texts
    assert not page.named("table")
