"""The paragraph to cite, and the Markdown report: right figures, honest words, inert text."""

import re
from collections.abc import Iterator
from typing import Any

import mistune
import pytest
from msgspec import structs

from jupyter_green.carbon.tables import ATTRIBUTION, intensity_of
from jupyter_green.events import (
    CounterLost,
    IntensityChanged,
    ModelDescribed,
    OverlapSeen,
    Pricing,
    RecorderRestarted,
    Refusal,
)
from jupyter_green.report import inert, markdown, statement
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.golden.digest import journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import DRAM, EVERY, FRANCE, MODEL, PACKAGE, Story, training

GOLDEN = [path for path in journals() if path.stem != "newer_major"]
WORDS = [text for text in NASTY if text]
"""Where nothing is said, a line is missing, as it should."""


def said(session: Session) -> str:
    return " ".join(statement.sentences(session))


# --- what is said ---


def test_energy_runs_and_shares() -> None:
    told = said(training())

    assert (
        "on 2026-01-02 over a whole session of 25 s: 4 runs of cells, all of them counted" in told
    )
    assert "1 failed and 1 superseded ones included" in told
    assert "The machine used 300.0 ± 0.2 J (0.0000833 kWh) of electricity." in told
    assert "44 % productive, 20 % superseded, 8 % failed, 12 % running, 16 % between cells" in told
    assert "still open" in told


def test_method_and_what_was_refused() -> None:
    told = said(training())

    assert "package-0, dram-0: measured through rapl, with an update every 1 ms." in told
    assert "Not read: nvml (no NVIDIA driver)." in told
    assert "95 % interval" in told
    chosen = [Refusal(source="perf", reason="rapl serves", by_choice=True)]
    assert "Not read" not in said(training(refused=chosen))


def test_carbon_with_everything_that_it_depends_on() -> None:
    told = said(training(pricing=Pricing(pue=1.5)))

    times = inert.TIMES
    assert f"This is 5.5 mg CO₂e: energy {times} PUE 1.5 {times} carbon intensity " in told
    assert "(France 2024, 44 g/kWh, lifecycle, a table)" in told
    assert ATTRIBUTION not in told
    assert ATTRIBUTION in said(training(intensity=intensity_of("FR")))


def test_without_a_place_no_carbon() -> None:
    told = said(training(intensity=None))

    assert "No carbon figure is given" in told
    assert "CO₂e" not in told


def test_bases_are_never_mixed() -> None:
    story = Story(intensity=FRANCE)
    story.sleep(1.0)
    direct = structs.replace(FRANCE, basis="direct", g_per_kwh=16.0)
    story.feed(IntensityChanged(intensity=direct, **story.stamp()))
    story.sleep(1.0)
    assert "No carbon figure is given" in said(story.session())


def test_what_is_modelled_is_called_so() -> None:
    story = Story(MODEL)
    story.cell("x")
    told = said(story.close())

    assert "cpu-model: modelled." in told
    assert "cpu-model is modelled within ± 40 % (10 W idle, 65 W busy)" in told
    assert "do not show that one technique saves energy over another" in told
    assert "modelled" not in said(training())


def test_lower_bounds_are_called_so() -> None:
    story = Story(intensity=FRANCE)
    story.sleep(1.0)
    story.feed(CounterLost(t=1.0, counter="dram-0", since=0.5, reason="gone"))
    story.unread.add("dram-0")
    story.sleep(1.0)
    told = said(story.close())

    assert "of electricity at least, because dram-0 could not be read throughout." in told
    assert "≥" not in told
    assert "This is at least" in told
    assert "dram-0 could not be read for a part of the time; its energy is missing." in told
    assert "at least" not in said(training())


def test_unknown_energy_is_no_zero() -> None:
    story = Story(unread=EVERY, intensity=FRANCE)
    story.cell("x")
    told = said(story.close())

    assert "No energy counter could be read, so that the energy is not known." in told
    assert "The machine used" not in told
    assert " 0 J" not in told
    assert "measured through" not in told


def test_a_model_has_no_updates() -> None:
    story = Story(MODEL)
    story.cell("x")
    told = said(story.close())

    assert "cpu-model: modelled." in told
    assert "with an update" not in told


def test_doubts() -> None:
    story = Story()
    story.sleep(2.0)
    story.feed(RecorderRestarted(t=2.0, since=0.5, reason="killed"))
    story.feed(OverlapSeen(t=2.0, session="other", pid=9))
    story.feed(OverlapSeen(t=2.0, session="other", pid=9))
    story.fold.feed_lines(b"torn\n")
    told = said(story.close("kernel died"))

    assert "No samples were taken for 1.5 s of it." in told
    assert "1 other session used the same machine meanwhile" in told
    assert "damaged lines could not be read" in told
    assert "did not end of itself (kernel died); what it cost until then counts." in told


def test_a_session_that_was_closed_has_nothing_to_excuse() -> None:
    story = Story()
    story.cell("x")
    told = said(story.close())
    assert "did not end" not in told
    assert "still open" not in told


def test_sensors_publish_their_errors() -> None:
    exact = structs.replace(PACKAGE, accuracy="5 % (somebody, 2016)")
    story = Story(exact, DRAM)
    story.cell("x")
    assert "Published error of the sensor: 5 % (somebody, 2016)." in said(story.close())


def test_unused_devices_are_left_out() -> None:
    unused = structs.replace(PACKAGE, name="cpu-model", domain="gpu", scope="device", device="A100")
    session = training()
    session = structs.replace(session, counters={**session.counters, "gpu-0": unused})
    assert "A100" not in said(session)
    total = structs.replace(session.total, uj={**session.total.uj, "gpu-0": 5})
    assert f"1 {inert.TIMES} A100" in said(structs.replace(session, total=total))


# --- Markdown ---

_markdown = mistune.create_markdown(
    renderer="ast", plugins=["table", "strikethrough", "url", "math", "footnotes", "task_lists"]
)


def tokens(text: str) -> Iterator[dict[str, Any]]:
    """Everything that a renderer would see, with what is nested in it."""
    todo: list[Any] = list(_markdown(text))
    while todo:
        token = todo.pop(0)
        yield token
        todo = [*token.get("children", []), *todo]


def shown(text: str) -> str:
    """What a reader sees of one line of Markdown."""
    return "".join(token.get("raw", "") for token in tokens(text) if token["type"] == "text")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = text.partition(f"## {heading}\n\n")[2].partition("\n\n")[0]
    lines = [re.split(r"(?<!\\) *\| *", line)[1:-1] for line in section.splitlines()]
    return [lines[0], *lines[2:]]


@pytest.mark.parametrize("journal", GOLDEN, ids=lambda path: path.stem)
def test_totals_are_the_folds(journal: Any) -> None:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    session = fold.session()
    report = markdown.render(session)
    if session.total.total_uj is None:
        assert "Where it went" not in report
        return
    _, *entries, total = rows(report, "Where it went")

    assert [name for name, *_ in entries] == list(session.ledger.entries)
    for line, entry in zip(entries, session.ledger.entries.values(), strict=True):
        assert round(float(line[3]) * 1e6) == entry.total_uj
    assert sum(round(float(line[3]) * 1e6) for line in entries) == session.total.total_uj
    assert round(float(total[3]) * 1e6) == session.total.total_uj
    assert float(total[4]) == session.total.total_uj / 3.6e12
    grams = session.co2_g(session.total)
    assert total[5] == "" if grams is None else float(total[5]) == grams
    assert ("at least" in total[0]) == session.total.at_least


def test_no_figure_has_an_exponent() -> None:
    assert not re.search(r"\de[-+]\d", markdown.render(training()))


def test_cells_metrics_models_and_method() -> None:
    story = Story(intensity=FRANCE)
    number = story.begin("fit()")
    described = ModelDescribed(
        run="a", name="mlp", parameters=1_234_567, flops=10, size_bytes=5, **story.stamp()
    )
    story.feed(described)
    story.sleep(1.0)
    story.metric("acc", 0.91, cell=number, run="a", direction="higher")
    story.end(number)
    report = markdown.render(story.close())

    assert rows(report, "Cells")[1][:2] == [r"\[1\] fit()", "12.00 ± 0.13 J"]
    assert rows(report, "Metrics beside energy")[1] == ["a", "acc", "0.91", "higher", "12.000000"]
    assert rows(report, "Models")[1] == ["a", "mlp", "1,234,567", "10", "5", ""]
    counters = rows(report, "Method")
    assert counters[1][0] == "package-0"
    assert counters[3][6] == "no, part of package-0"
    assert "| France | 2024 | lifecycle | 44 | 1 | a table |" in report


def test_long_sessions_show_what_costs_most_unless_all_is_asked_for() -> None:
    story = Story()
    for index in range(60):
        story.cell(f"cell {index}", 0.1)
    session = story.close()
    assert "+ 20 cells" in markdown.render(session)
    assert len(rows(markdown.render(session, everything=True), "Cells")) == 61


HARMLESS = {
    *("heading", "paragraph", "list", "list_item", "block_text", "text", "strong"),
    *("blank_line", "softbreak", "table", "table_head", "table_body", "table_row", "table_cell"),
}
"""What our own Markdown is made of."""


@pytest.mark.parametrize("text", WORDS, ids=range(len(WORDS)))
def test_markdown_is_inert(text: str) -> None:
    session = evil(text)
    report = markdown.render(session)
    usual = markdown.render(evil("plain")).splitlines()
    if not text.split():
        # What is blank is no stage, and there is no table of stages.
        start = next(i for i, line in enumerate(usual) if "stage of the lifecycle" in line)
        end = next(i for i, line in enumerate(usual) if i > start and line.startswith("#"))
        del usual[start:end]

    assert {token["type"] for token in tokens(report)} <= HARMLESS
    assert {token["type"] for token in tokens(statement.render(session))} == {"paragraph", "text"}
    assert len(report.splitlines()) == len(usual)
    headings = [line for line in report.splitlines() if line.startswith("#")]
    assert len(headings) == len([line for line in usual if line.startswith("#")])
    tables = [t for t in tokens(report) if t["type"] in ("table_head", "table_row")]
    plain = [t for t in tokens("\n".join(usual)) if t["type"] in ("table_head", "table_row")]
    assert [len(t["children"]) for t in tables] == [len(t["children"]) for t in plain]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_markdown_shows_the_text_itself(text: str) -> None:
    line = inert.short(text)
    if line:
        # The renderer writes entities anew, HTML's way.
        entities = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert shown(inert.markdown(line)) in (line, entities)


# --- LaTeX ---

_OURS = re.compile(
    r"\\(?:textbackslash|textasciicircum|textasciitilde|textasciigrave|textless|textgreater"
    r"|textbar|ldots)\{\}|\\ensuremath\{(?:\\[a-z]+|\^\\circ|_2)\}|\{\\char34\}|-\{\}|\\[{}$&#%_]"
)
"""Every command that we write."""


def test_statement_in_latex() -> None:
    told = statement.render_latex(training())
    assert "300.0 \\ensuremath{\\pm} 0.2 J (0.0000833 kWh)" in told
    assert "44 \\% productive" in told
    assert "mg CO\\ensuremath{_2}e" in told
    assert "package-0" in told
    assert "on 2026-01-02 over" in told


@pytest.mark.parametrize("text", WORDS, ids=range(len(WORDS)))
def test_latex_is_inert(text: str) -> None:
    told = statement.render_latex(evil(text))
    rest = _OURS.sub("", told)
    assert not set(rest) & set('\\{}$&#^_~%<>|`"'), rest
    assert "--" not in told, "two would join into a dash"
    assert "\n\n" not in told, "an empty line would begin another paragraph"
    assert len(told.splitlines()) == len(statement.sentences(evil("plain")))


def test_latex_joins_no_dashes() -> None:
    assert inert.latex("a-b --no ---- c") == "a-b -{}-no -{}-{}-{}- c"


def test_latex_keeps_every_character() -> None:
    told = inert.latex("a\\b{c}d$e&f#g^h_i~j%k")
    assert told == (r"a\textbackslash{}b\{c\}d\$e\&f\#g\textasciicircum{}h\_i\textasciitilde{}j\%k")
