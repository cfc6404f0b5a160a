"""The comparison as text, Markdown, HTML, chart, section of the report and data frame."""

import math
import re
from html.parser import HTMLParser

import pytest

from jupyter_green.events import ModelDescribed
from jupyter_green.insight.compare import contest
from jupyter_green.insight.contest import Contest
from jupyter_green.report import charts, markdown, text, vega_parts
from jupyter_green.report.html.parts import Pictures
from jupyter_green.report.studies import compared, compared_drawn
from jupyter_green.sessions.model import Session
from tests.simulators.evil import NASTY
from tests.simulators.story import DRAM, FRANCE, MODEL, PACKAGE, Story


def told(*counters: object, names: tuple[str, str] = ("baseline", "quantised")) -> Session:
    """Five runs each: 10 W and 2 W of 10 s and 5 s, with a metric and a model."""
    story = Story(*counters, intensity=FRANCE)  # type: ignore[arg-type]
    for round_ in range(5):
        for name, seconds, accuracy in zip(names, (10.0, 5.0), (0.91, 0.90), strict=True):
            number = story.begin("fit()", {"label": name})
            story.sleep(seconds + 0.01 * round_)
            story.metric("accuracy", accuracy + 0.0001 * round_, cell=number, direction="higher")
            story.feed(
                ModelDescribed(
                    parameters=1234567,
                    flops=10**9,
                    size_bytes=4_900_000,
                    cell=number,
                    **story.stamp(),
                )
            )
            story.end(number)
    return story.close()


def compared_of(*counters: object) -> Contest:
    return contest(told(*counters))


class Page(HTMLParser):
    """Which elements there are, all of them closed, and the text."""

    VOID = frozenset({"circle", "line"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: dict[str, int] = {}
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.attributes += attrs
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


OURS = frozenset(
    [
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bdi",
        "svg",
        "text",
        "line",
        "circle",
        "ul",
        "li",
    ]
)


def test_text() -> None:
    lines = compared.render(compared_of()).splitlines()
    assert lines[0].startswith("quantised used 49.9 % less energy than baseline (95 % interval ")
    assert re.split(r"\s{2,}", lines[2]) == [
        *("Label", "Runs", "Energy", "Energy change", "Time", "Time change", "CO2e"),
        *("Last accuracy", "Change of accuracy", "Parameters", "Size", "FLOPs"),
    ]
    assert re.split(r"\s{2,}", lines[3]) == [
        "baseline",
        "5",
        "120.2 ± 0.3 J",
        "10.02 ± 0.02 s",
        "1.47 mg",
        "0.91020 ± 0.00020",
        "1,234,567",
        "4.9 MB",
        "1,000,000,000",
    ]
    assert re.split(r"\s{2,}", lines[4])[3:7] == [
        "-49.9 %",
        "5.020 ± 0.020 s",
        "-49.9 %",
        "0.736 mg",
    ]
    assert "-1.00 points" in lines[4]
    assert "1.00 points lower (" in lines[0]


def test_columns_without_anything_are_left_out() -> None:
    story = Story()
    for name in ("a", "b", "a", "b"):
        story.cell("fit()", label=name)
    text = compared.render(contest(story.close()))
    assert "CO2e" not in text
    assert "FLOPs" not in text
    assert "none found" in text


def test_remarks() -> None:
    story = Story()
    for number in range(3):
        story.cell("fit()", 1.0 + number / 100, label="a")
        story.cell("fit()", 1.0 + number / 100, label="b")
    story.cell("fit()", 1.0, "error", "ValueError", label="b")
    story.cell("fit()", 1.0, "interrupted", "KeyboardInterrupt", label="b")
    story.cell("fit()", 1.0, "error", "ValueError", label="c")
    rows = {row[0]: row for row in compared.rows(contest(story.close(), ["a", "b", "c"]))}
    assert rows["b"][1] == "3 of 5"
    assert rows["b"][9] == "1 failed, 1 interrupted"
    assert rows["c"][9] == "never succeeded"
    assert rows["c"][1] == "0 of 1"


def test_modelled_figures_are_drawn_as_time() -> None:
    found = compared_of(MODEL)
    rows = compared.rows(found)
    # How runs vary is seen there, too, and it is said that this is all it tells.
    assert rows[1][2:6] == ("100.4 ± 0.4 J", "", "5.020 ± 0.020 s", "-49.9 %")
    told_of_it = "The ± of a modelled energy is how runs vary, not how far the model may be off."
    assert found.notes == (told_of_it,)
    assert told_of_it not in compared_of().notes
    assert rows[1][9] == "modelled"
    assert "time (s): dots are runs" in compared.fragment(found)
    assert compared_drawn.spec(found)["description"] == "Time by label"
    assert "energy (J): dots are runs" in compared.fragment(compared_of())


def test_a_lower_bound_is_shown_as_one() -> None:
    story = Story(PACKAGE, DRAM)
    for seconds, name in ((1.0, "a"), (1.1, "a"), (5.0, "b"), (5.1, "b")):
        number = story.begin("fit()", {"label": name})
        if name == "a":
            story.unread.add("dram-0")
        story.sleep(seconds)
        story.end(number)
        story.unread.clear()
        story.sleep(0.1)
    rows = compared.rows(contest(story.close()))
    assert rows[0][2].startswith("≥ 1")
    assert rows[0][9] == "a lower bound"
    assert rows[1][2].startswith("6")


def test_markdown() -> None:
    lines = compared.render_markdown(compared_of()).splitlines()
    assert lines[0].startswith("quantised used 49.9 % less energy")
    assert lines[2].startswith("| Label | Runs | Energy |")
    assert sum(line.startswith("|") for line in lines) == 4


def test_html() -> None:
    page = Page(compared.fragment(compared_of()))
    assert set(page.seen) <= OURS
    assert page.seen["circle"] == 10
    assert "currentColor" in {value for _, value in page.attributes}
    words = " ".join(page.text)
    assert "less energy than baseline" in words
    assert "1,234,567" in words


def test_dots_lie_where_their_energy_is() -> None:
    """On a common axis, in the order of the energies, and within the drawing."""
    html = compared.fragment(compared_of())
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', html)]
    assert places == [pytest.approx(x) for x in places if 200 <= x <= 640]
    assert max(places[5:]) < min(places[:5])
    # The axis begins at 0 here: half the energy, half the way.
    first, second = sum(places[:5]) / 5 - 200, sum(places[5:]) / 5 - 200
    assert second / first == pytest.approx(0.5, abs=0.01)


def test_of_single_runs_nothing_is_drawn() -> None:
    story = Story()
    for name in ("a", "b"):
        story.cell("fit()", label=name)
    found = contest(story.close())
    assert "<svg" not in compared.fragment(found)
    assert compared.render(found).startswith("b and a cannot be judged: one run each.")


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_names_stay_names(name: str) -> None:
    session = told(names=("baseline", f"{name} x"))
    found = contest(session)
    html = compared.fragment(found)
    page = Page(html)
    assert set(page.seen) <= OURS
    assert not [key for key, _ in page.attributes if key.startswith("on")]
    assert not [value for key, value in page.attributes if key in ("href", "src")]
    text = compared.render(found)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert len(text.splitlines()) == 5
    assert len(text) < 2500
    markdown = compared.render_markdown(found)
    assert sum(line.startswith("|") for line in markdown.splitlines()) == 4
    section = compared.section(session, Pictures(light=False))
    assert len(section) < 30_000
    assert "<script>alert" not in section
    Page(section)


# --- in the report of a session ---


def labels_in(report: str) -> list[str]:
    """The block of the text that tells of labels."""
    blocks = (block.splitlines() for block in report.split("\n\n"))
    return next((lines for lines in blocks if lines[0] == "Labels compared"), [])


def repeated(*labels: str, runs: int = 2) -> Session:
    story = Story()
    for round_ in range(runs):
        for label in labels:
            story.cell("fit()", 1.0 + round_ / 100, label=label)
    return story.close()


def test_text_tells_the_verdict_and_markdown_the_figures() -> None:
    session = told()
    verdict = contest(session).sentences

    assert labels_in(text.render(session)) == ["Labels compared", *verdict]
    whole = text.render(session, everything=True)
    assert compared.render(contest(session)) in whole
    assert compared.render_markdown(contest(session)) in markdown.render(session)
    assert "## Labels compared" in markdown.render(session)


def test_text_stays_short() -> None:
    five = labels_in(text.render(repeated(*"abcde")))
    assert len(five) == 1 + 3 + 1
    assert five[-1] == "+ 1 more in reports in HTML and Markdown"
    twenty = labels_in(text.render(repeated(*map(str, range(20)))))
    assert twenty == ["Labels compared", "20 labels: reports in HTML and Markdown compare them"]


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(repeated("a", "b", "c", runs=1), id="names of cells"),
        pytest.param(repeated(*map(str, range(20)), runs=1), id="many names of cells"),
        pytest.param(repeated("a"), id="one"),
        pytest.param(Story().close(), id="none"),
    ],
)
def test_text_says_nothing_of_labels_that_cannot_be_judged(session: Session) -> None:
    assert labels_in(text.render(session)) == []


def test_markdown_of_one_label() -> None:
    assert "Labels compared" not in markdown.render(repeated("a"))


def test_the_chart_is_drawn_and_has_all_runs() -> None:
    found = compared_of()
    spec = compared_drawn.spec(found)
    runs = [layer for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    assert len(runs[0]["data"]["values"]) == 10
    assert vega_parts.svg(spec).startswith("<svg")
    assert charts.chart(compared_drawn.spec(found)).to_dict()["description"] == "Energy by label"


def test_two_labels_that_read_alike_keep_rows_of_their_own() -> None:
    long = "x" * 300
    found = contest(told(names=(f"{long}a", f"{long}b")))
    values = compared_drawn.spec(found)["layer"][1]["data"]["values"]
    assert len({row["name"] for row in values}) == 2


def test_section() -> None:
    section = compared.section(told(), Pictures(light=True))
    assert "<h2>Labels compared</h2>" in section
    assert "less energy than baseline" in section
    assert section.count("<figure>") == 1
    assert compared.section(Story().close(), Pictures(light=True)) == ""


def test_many_labels() -> None:
    story = Story()
    for number in range(45):
        story.cell("fit()", label=f"label {number}")
    section = compared.section(story.close(), Pictures(light=False))
    assert "none of the 40 can be judged: one run each." in section
    assert "+ 5 labels" in section


def test_data_frame() -> None:
    frame = compared.runs_dataframe(compared_of())
    assert list(frame.columns) == list(compared.RUN_COLUMNS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        name: dtype.partition("[")[0] if dtype.startswith("string") else dtype
        for name, dtype in compared.RUN_COLUMNS.items()
    }
    assert list(frame.groupby("label", sort=False)["energy_j"].count()) == [5, 5]
    assert frame["energy_j"].iloc[0] == pytest.approx(120)
    assert frame["left_out"].isna().all()


def test_figures_of_quality_have_their_digits() -> None:
    for values, words in (
        ((0.9, 0.9), "0.9"),
        ((0.91, 0.92), "0.915 ± 0.064"),
        ((123.0, 124.0), "123.5 ± 6.4"),
        ((1e12, 2e12), "1.5e+12 ± 6.4e+12"),
        ((1e-9, 2e-9), "1.5e-09 ± 6.4e-09"),
    ):
        story = Story()
        for value in values:
            number = story.begin("x", {"label": "a"})
            story.metric("m", value, cell=number)
            story.end(number)
        story.cell("y", label="b")
        found = contest(story.close())
        quality = found.side("a").quality
        assert quality is not None
        assert math.isfinite(quality.mean)
        assert compared.rows(found)[0][7] == words
