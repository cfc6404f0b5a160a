"""The report as a page: whole, in one file, with the session's figures, and with nothing alive."""

import base64
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import pytest

from jupyter_green.events import Intensity, ModelDescribed, SpanFinished, SpanStarted
from jupyter_green.report import bundle, forms
from jupyter_green.report.html import page as html
from jupyter_green.report.html import parts as html_parts
from jupyter_green.report.html.parts import Column, number, table
from jupyter_green.report.table import Table
from jupyter_green.sessions import library
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from jupyter_green.units import format_co2, format_energy, format_kwh
from tests.benchmarks.folding import CELLS, write_journal
from tests.golden.digest import journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import DRAM, FRANCE, PACKAGE, Story, hostile, training

VOID = {"br", "hr", "img", "input", "link", "meta"}
OURS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "section", "article"),
    *("h1", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "div", "span", "bdi", "code", "br"),
    *("figure", "figcaption", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "path", "rect", "line", "text", "defs", "clippath", "tspan", "script"),
}
"""All elements that the report is made of."""


class Page(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_decl(self, decl: str) -> None:
        assert decl == "DOCTYPE html"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        if tag in ("td", "th"):
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] == ["style"]:
            self.styles.append(data)
        elif self._open[-1:] == ["caption"]:
            self._caption += data
        else:
            self.words.append(data)
            if self._open[-1:] == ["h2"]:
                self.headings.append(data)
            if {"td", "th"} & set(self._open):
                self.tables[self._caption][-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r:.80}")

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def policy(self) -> str:
        return next(m["content"] for m in self.named("meta") if "http-equiv" in m)

    def table(self, caption: str) -> list[dict[str, str]]:
        """The rows of the table whose caption begins so, by the titles of its columns."""
        (rows,) = (rows for name, rows in self.tables.items() if name.startswith(caption))
        head, *body = rows
        return [dict(zip(head, row, strict=False)) for row in body]


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "light"])
def page(request: pytest.FixtureRequest) -> Page:
    return Page(html.render(training(), light=request.param))


@pytest.fixture(scope="module")
def light() -> Page:
    return Page(html.render(training(), light=True))


def hash_of(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def loaded(journal: Path) -> Session:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    return fold.session()


# --- the file ---


def test_nothing_is_fetched(page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "poster", "srcset", "style"):
            if name in attributes:
                assert (tag, attributes[name]) == ("link", "data:,")
        assert not any(name.startswith("on") for name in attributes), tag
    assert not re.search(r"@import|url\(", "".join(page.styles))


def test_the_policy_names_what_is_there_and_nothing_else(page: Page) -> None:
    programs = [
        script
        for script, tag in zip(page.scripts, page.named("script"), strict=True)
        if "type" not in tag
    ]
    allowed = re.findall(r"sha256-[\w+/=]+", page.policy)

    assert page.policy.startswith("default-src 'none'; ")
    assert "unsafe" not in page.policy
    assert sorted(allowed) == sorted(map(hash_of, [*programs, *page.styles]))


def test_the_light_form_has_no_script(light: Page) -> None:
    assert light.named("script") == []
    assert "script-src" not in light.policy
    assert light.source.count("<svg xmlns") == 6
    assert len(light.source) < 200_000


def test_the_whole_form_has_one_bundle(page: Page) -> None:
    if "script-src" in page.policy:
        kinds = Counter(script.get("type", "program") for script in page.named("script"))
        assert kinds == {"program": 1, "application/json": 6}
        assert page.source.count(bundle.script()) == 1
        assert len(page.source) < 1_200_000


def test_drawings_do_not_share_names(light: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in light.tags if "id" in attributes)
    used = set(re.findall(r"url\(#([^)]+)\)", light.source))

    assert max(ids.values(), default=1) == 1
    assert used <= set(ids)


def test_a_page_for_readers_of_all_kinds(page: Page) -> None:
    assert page.named("html") == [{"lang": "en"}]
    assert len(page.named("h1")) == 1
    assert {attributes.get("scope") for attributes in page.named("th")} == {"col"}
    pictures = [tag for tag in page.named("div") if tag.get("class") == "chart"]
    assert all(tag["role"] == "img" and tag["aria-label"] for tag in pictures)
    assert all(tag["aria-label"] for tag in page.named("div") if tag.get("class") == "frame")


def test_the_same_session_has_the_same_page() -> None:
    assert html.render(training()) == html.render(training())


def test_it_is_a_form() -> None:
    assert forms.form_for("x.html").render(training()) == html.render(training())
    assert forms.form_for("x.light.html").render(training()) == html.render_light(training())


# --- what it tells ---


def test_the_sections(page: Page) -> None:
    assert page.headings == [
        "What to try",
        "Power",
        "Where it went",
        "Cells",
        "Sources",
        "Lifecycle stages",
        "Accuracy beside energy",
        "Hardware and method",
        "To cite",
    ]


def test_the_tiles(page: Page) -> None:
    session = training()
    total = session.total
    assert total.total_uj is not None
    for figure in (
        format_kwh(total.total_uj),
        f"{format_co2(session.co2_g(total) or 0)} CO₂e",
        "0.0000208 EUR",
        "25 s",
        "measured",
        "France 2024, 44 g/kWh, lifecycle, a table",
        "PUE 1",
    ):
        assert figure in page.text


def test_the_ledger_is_the_session_s(page: Page) -> None:
    entries = training().ledger.entries

    assert {row["Part"]: row["Energy"] for row in page.table("The ledger")} == {
        name: format_energy(entry.total_uj) for name, entry in entries.items() if entry.total_uj
    }


def test_cells_say_what_the_table_says(page: Page) -> None:
    rows = page.table("Energy by cell")

    assert [(row["Cell"], row["Energy"]) for row in rows] == [
        (row.label, row.energy) for row in Table.of(training()).rows
    ]


def test_sources(page: Page) -> None:
    found = {row["Counter"]: row for row in page.table("Energy by source")}

    assert found["package-0"]["Energy"] == "250 J"
    assert found["package-0"]["In the total"] == "yes"
    assert found["core-0"]["In the total"] == "no: part of package-0"


def test_stages(page: Page) -> None:
    found = {row["Stage"]: row["Energy"] for row in page.table("Energy by stage")}
    assert found == {"train": "180 J", "no stage: other cells, between cells": "120 J"}


def test_method_and_refusals(page: Page) -> None:
    assert "nvml: no NVIDIA driver; install one" in page.text
    assert "jupyter_green 0.1.0, format 1.0" in page.text
    assert {row["Updates every"] for row in page.table("Counters")} == {"1 ms"}


def test_the_statement_is_in_it(page: Page) -> None:
    assert "4 runs of cells, all of them counted, with 1 failed and 1 superseded" in page.text


def test_findings(page: Page) -> None:
    assert "The result of 1 run was replaced by a later run of the same cell" in page.text


def test_the_four_measures() -> None:
    story = Story(intensity=FRANCE)
    number = story.begin("fit()")
    described = {"name": "mlp", "run": "a", "parameters": 85_002, "flops": 170_000}
    story.feed(
        ModelDescribed(
            size_bytes=340_008, precision="fp32", cell=number, **described, **story.stamp()
        )
    )
    story.sleep(10.0)
    story.metric("acc", 0.9, cell=number, run="a", step=1)
    story.end(number)

    (row,) = Page(html.render(story.close(), light=True)).table("Running time, carbon")

    assert row == {
        "Model": "mlp",
        "Run": "a",
        "Time": "10 s",
        "Energy": "120.0 ± 0.2 J",
        "CO₂e": "1.47 mg",
        "Parameters": "85,002",
        "Size": "0.34 MB",
        "FLOPs": "170 kFLOPs",
        "Precision": "fp32",
    }


def test_a_description_alone_costs_nothing_that_is_the_model_s() -> None:
    """A run that nothing belongs to, and a cell that does no more than describe."""
    story = Story()
    for fields in ({"run": "a typo"}, {}):
        number = story.begin("describe_model('mlp')")
        story.feed(ModelDescribed(name="mlp", cell=number, **fields, **story.stamp()))
        story.sleep(1.0)
        story.end(number)
    rows = Page(html.render(story.close(), light=True)).table("Running time, carbon")
    assert [(row.get("Time", ""), row.get("Energy", "")) for row in rows] == [("", "")] * 2


def test_the_measures_of_a_run_hold_all_its_cells() -> None:
    story = Story()
    first = story.begin("a")
    story.feed(ModelDescribed(run="a", name="m", cell=first, **story.stamp()))
    story.sleep(1.0)
    story.end(first)
    for _ in range(2):
        number = story.begin("b")
        story.sleep(2.0)
        story.metric("acc", 0.5, cell=number, run="a", step=1)
        story.end(number)

    (row,) = Page(html.render(story.close(), light=True)).table("Running time, carbon")

    assert (row["Time"], row["Energy"]) == ("4 s", "48 J")


def measured(story: Story) -> dict[str, tuple[str, str]]:
    """Time and energy of each described model."""
    rows = Page(html.render(story.close(), light=True)).table("Running time, carbon")
    return {row["Model"]: (row["Time"], row["Energy"]) for row in rows}


def test_the_measures_of_a_run_are_those_of_its_spans() -> None:
    """As callbacks record two trainings and an evaluation in one cell, the model's data before."""
    story = Story()
    number = story.begin("train both")
    story.sleep(20.0)
    for span, (run, type_, seconds) in enumerate(
        (("mlp 1", "training", 3.0), ("mlp 2", "training", 5.0), ("mlp 1", "evaluation", 1.0))
    ):
        story.feed(SpanStarted(span=span, name=run, type=type_, cell=number, **story.stamp()))
        if type_ == "training":
            story.feed(ModelDescribed(run=run, name=f"{run}!", cell=number, **story.stamp()))
        story.span(10 + span, run, seconds / 2, type="epoch", cell=number, parent=span)
        story.metric("acc", 0.5, cell=number, run=run, step=1)
        story.sleep(seconds / 2)
        story.feed(SpanFinished(span=span, **story.stamp()))
    story.end(number)

    assert measured(story) == {"mlp 1!": ("4 s", "48 J"), "mlp 2!": ("5 s", "60.00 ± 0.13 J")}


def test_a_run_that_logged_outside_its_span_took_more_than_that() -> None:
    story = Story()
    number = story.begin("fit and evaluate")
    story.feed(ModelDescribed(run="mlp", name="m", cell=number, **story.stamp()))
    story.sleep(5.0)
    story.metric("acc", 0.5, cell=number, run="mlp")
    story.span(1, "mlp", 1.0, type="measure", cell=number)
    story.end(number)

    assert measured(story) == {"m": ("6 s", "72.00 ± 0.13 J")}


def test_a_run_that_shares_its_cell_took_that_much_at_most() -> None:
    story = Story()
    number = story.begin("train both")
    for run in ("a", "b", "a"):
        story.feed(ModelDescribed(run=run, name=run, cell=number, **story.stamp()))
        story.metric("acc", 0.5, cell=number, run=run)
        story.sleep(2.0)
    story.end(number)
    alone = story.begin("train a")
    story.sleep(1.0)
    story.metric("acc", 0.5, cell=alone, run="a")
    story.end(alone)

    assert measured(story) == {"a": ("≤ 7 s", "≤ 84 J"), "b": ("≤ 6 s", "≤ 72 J")}


def test_at_most_of_a_part_says_nothing() -> None:
    story = Story(PACKAGE, DRAM, unread=[DRAM.name])
    number = story.begin("train both")
    for run in ("a", "b", "a"):
        story.feed(ModelDescribed(run=run, name=run, cell=number, **story.stamp()))
        story.metric("acc", 0.5, cell=number, run=run)
        story.sleep(2.0)
    story.end(number)

    rows = Page(html.render(story.close(), light=True)).table("Running time, carbon")

    assert all(row["Time"] == "≤ 6 s" and not row.get("Energy") for row in rows)


def test_labels_are_compared() -> None:
    story = Story()
    for label, seconds in (("small", 1.0), ("large", 4.0), ("small", 3.0)):
        number = story.begin("fit()", {"label": label})
        story.sleep(seconds)
        story.metric("acc", seconds / 10, cell=number, direction="higher")
        story.end(number)
    found = Page(html.render(story.close(), light=True))

    rows = {row["Label"]: row for row in found.table("Techniques by energy and by quality")}

    assert "large and small cannot be judged: one run of large." in found.text
    assert (rows["small"]["Runs"], rows["large"]["Runs"]) == ("2", "1")
    assert rows["small"]["Energy"].startswith("24 ± ")
    assert rows["large"]["Last acc"] == "0.4"


def test_what_the_run_of_a_metric_cost() -> None:
    story = Story()
    number = story.begin("fit()", {"label": "mlp"})
    for value in (0.5, 0.7, 0.9):
        story.sleep(10.0)
        story.metric("acc", value, cell=number, step=value, direction="higher")
    story.end(number)

    (row,) = Page(html.render(story.close(), light=True)).table("Every run of every metric")

    assert row["First"] == "0.5"
    assert row["Best"] == "0.9"
    assert row["Energy to best"] == "360 J"
    assert row["Energy per point"] == "6 J per point"


def test_without_a_place_there_is_no_carbon() -> None:
    found = Page(html.render(Story().close(), light=True))

    assert "no place was set" in found.text
    assert not re.search(r"\d+ [mµ]?g CO₂e", found.text)


def test_several_intensities_are_all_told() -> None:
    session = training().with_intensity(
        Intensity(g_per_kwh=300.0, place="Elsewhere", year=2023, source="a table", estimated=True)
    )
    found = Page(html.render(session, light=True))

    assert "300 g/kWh, Elsewhere, 2023, lifecycle, estimated; a table" in found.text


def test_a_lower_bound_says_so() -> None:
    story = Story(unread=["dram-0"])
    story.cell("a")

    assert "≥ " in Page(html.render(story.close(), light=True)).text


def sessions() -> Iterator[object]:
    yield pytest.param(Story().close(), id="empty")
    for path in journals():
        if path.stem != "newer_major":
            yield pytest.param(loaded(path), id=path.stem)


@pytest.mark.parametrize("session", list(sessions()))
def test_every_session_has_a_page(session: Session) -> None:
    for light in (False, True):
        found = Page(html.render(session, light=light))
        assert found.text
        assert "None" not in found.text
        assert {tag for tag, _ in found.tags} <= OURS


# --- hostile ---


@cache
def harmless(light: bool) -> Page:
    return Page(html.render(evil("plain"), light=light))


@pytest.mark.parametrize(
    ("text", "light"),
    [*((text, True) for text in NASTY), ("</script><script>", False), ("<!--<script>", False)],
    ids=range(len(NASTY) + 2),
)
def test_words_of_others_are_words(text: str, light: bool) -> None:
    made = html.render(evil(text), light=light)
    found, plain = Page(made), harmless(light)

    assert {tag for tag, _ in found.tags} <= OURS
    assert len(found.named("script")) <= len(plain.named("script"))
    assert len(found.named("style")) == len(plain.named("style")) == 1
    assert found.policy == plain.policy
    assert len(made) < len(plain.source) + 100_000
    for _, attributes in found.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)


def test_specs_are_data() -> None:
    found = Page(html.render(hostile()))
    for script, tag in zip(found.scripts, found.named("script"), strict=True):
        if "type" in tag:
            assert "<" not in script
            json.loads(script)


def test_text_is_not_lost_in_making_it_harmless() -> None:
    assert "<script>alert(1)</script>" in Page(html.render(hostile(), light=True)).text


# --- the building blocks ---


def test_a_table_leaves_out_empty_columns_and_says_what_is_not_known() -> None:
    columns = (Column("Name"), number("Energy"), number("Cost"))
    made = table("Things", columns, [("a", "1 J", ""), ("b", "", "")])

    assert "Cost" not in made
    assert made.count(html_parts.EMPTY) == 1
    assert table("Things", columns, []) == ""


# --- long sessions ---


@pytest.mark.slow
def test_ten_thousand_cells(tmp_path: Path) -> None:
    journal = tmp_path / "day.ndjson"
    write_journal(journal)
    session = library.load(journal)
    html.render(training())  # the packages are loaded, and the bundle is made

    began = time.process_time()
    made = html.render(session)
    took = time.process_time() - began

    found = Page(made)
    assert len(found.table("Energy by cell")) == html.MOST_CELLS + 1
    assert f"+ {CELLS - html.MOST_CELLS} cells with" in found.text
    assert len(made.encode()) < 3e6
    assert took < 3.0


# --- the bundle ---


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache directory, in which there is nothing yet."""
    directory = tmp_path / "cache"
    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(variable, str(directory))
    return directory


def made_by_a_process() -> str:
    return bundle.script.__wrapped__()


def test_the_bundle_is_made_once_and_kept(kept: Path) -> None:
    made = made_by_a_process()
    (file,) = (path for path in kept.rglob("*") if path.is_file())
    bundle._write(file, "another")

    assert "vegaEmbed" in made
    assert version("vl-convert-python") in file.name
    assert made_by_a_process() == "another", "it was made again"


@pytest.mark.parametrize("damage", [b"", b"\xff", b"alert(1)", None], ids=str)
def test_a_damaged_bundle_is_made_anew(damage: bytes | None, kept: Path) -> None:
    made = made_by_a_process()
    (file,) = (path for path in kept.rglob("*") if path.is_file())
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] if damage is None else damage)

    assert made_by_a_process() == made
    assert file.read_bytes() == whole


def test_without_a_cache_the_bundle_is_made_each_time(kept: Path) -> None:
    kept.write_text("in the way", encoding="utf-8")

    assert "vegaEmbed" in made_by_a_process()
    assert kept.read_text(encoding="utf-8") == "in the way"


def test_the_bundle_cannot_end_its_script() -> None:
    assert "</script" not in html._script().lower()
    assert "<!--" not in html._script()
