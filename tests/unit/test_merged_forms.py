"""A merged report in every form: the same figures, words of others inert, and one file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from jupyter_green.errors import ReportError
from jupyter_green.events import OverlapSeen, Pricing
from jupyter_green.report import forms
from jupyter_green.report.merged import html as merged_html
from jupyter_green.report.merged.statement import sentences
from jupyter_green.report.merged.table import MergedTable
from jupyter_green.report.merged.values import Merged
from jupyter_green.report.words import energy_words
from jupyter_green.sessions.model import Session
from jupyter_green.units import format_co2, format_energy, format_kwh
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import DRAM, FRANCE, HOSTILE, MODEL, PACKAGE, Story, training
from tests.unit.test_history import MARKET, POLAND, START, session_id
from tests.unit.test_html_report import OURS, Page, hash_of

HOUR_S = 3600
PAGES = ("html", "html_light")


def told(number: int, after_s: float, seconds: float = 100.0, **header: object) -> Session:
    """10 W for that long, and a run that failed at its end, a tenth of it."""
    story = Story(
        PACKAGE,
        lag_uj=1000,
        session=session_id(number),
        wall_s=START + after_s,
        **header,
    )
    story.cell("fit()", 0.9 * seconds, stage="train")
    story.cell("1 / 0", 0.1 * seconds, "error", "ZeroDivisionError")
    return story.close()


def two_at_once() -> Merged:
    """Twice 1 kJ on one machine, half of it at once: 1.5 kJ, 44 g/kWh; and 1 kJ elsewhere."""
    same = {"intensity": FRANCE, "project": "thesis", "pricing": Pricing(price_per_kwh=0.25)}
    sessions = [
        told(1, 0, **same),
        told(2, 50, **same),
        told(3, 2 * HOUR_S, host="there", intensity=POLAND, project="side"),
    ]
    return Merged.of(sessions)


def mixed() -> Merged:
    """Two bases, one without a place, one modelled, one that was killed, one without a counter."""
    model = Story(MODEL, session=session_id(4), wall_s=START + 4 * HOUR_S)
    model.cell("fit()", 10)
    killed = Story(PACKAGE, DRAM, session=session_id(5), wall_s=START + 5 * HOUR_S)
    killed.cell("fit()", 10)
    blind = Story(PACKAGE, session=session_id(6), wall_s=START + 6 * HOUR_S, unread=[PACKAGE.name])
    blind.cell("fit()", 10)
    return Merged.of(
        [
            told(1, 0, intensity=FRANCE),
            told(2, HOUR_S, intensity=MARKET),
            told(3, 2 * HOUR_S),
            model.close(),
            killed.close("kernel died"),
            blind.close(),
        ],
        ["/tmp/<b>damaged</b>.ndjson is no session journal"],
    )


def text_of(made: Merged, name: str, **options: bool) -> str:
    found = forms.form_of(name).render(made, **options)
    assert isinstance(found, str)
    return found


# --- the same figures in every form ---


def test_json_has_the_figures_of_the_merged_value() -> None:
    made = two_at_once()
    report = json.loads(text_of(made, "json"))
    total = report["total"]

    assert total["sum_j"] == made.totals.summed.energy_j == 3000
    assert total["union_j"] == made.totals.union.energy_j == pytest.approx(2500, abs=0.01)
    assert total["union_bound_j"] == made.totals.union.bound_j
    assert (total["runs"], total["failed_runs"], total["superseded_runs"]) == (6, 3, 0)
    grams = (1500 * 44 + 1000 * 600) / 3.6e6
    (co2,) = report["co2"]
    assert (co2["basis"], co2["sessions"]) == ("lifecycle", 3)
    assert co2["union"] == pytest.approx(grams, rel=1e-5)
    assert co2["summed"] == pytest.approx((2000 * 44 + 1000 * 600) / 3.6e6)
    (cost,) = report["cost"]
    assert (cost["currency"], cost["sessions"]) == ("EUR", 2)
    assert cost["union"] == pytest.approx(1500 * 0.25 / 3.6e6, rel=1e-5)
    for by in ("project", "notebook", "machine", "day"):
        assert sum(group["sum_j"] for group in report["groups"][by]) == 3000
    assert sum(part["energy_j"] for part in report["ledger"]) == pytest.approx(3000)
    stages = {stage["stage"]: stage["energy_j"] for stage in report["stages"]}
    assert stages == {"train": 2700, None: 300}
    assert report["findings"][0]["kind"] in {kind.kind for kind in made.findings}


def test_csv_has_one_row_a_session() -> None:
    made = two_at_once()
    rows = list(csv.DictReader(io.StringIO(text_of(made, "csv"))))
    report = json.loads(text_of(made, "json"))

    assert [row["id"] for row in rows] == [session_id(n) for n in (3, 2, 1)]
    assert sum(float(row["energy_j"]) for row in rows) == 3000
    assert sum(float(row["failed_j"]) for row in rows) == pytest.approx(300)
    assert [float(row["co2_g"]) for row in rows] == [one["co2_g"] for one in report["sessions"]]
    for row in rows:
        parts = [float(row[name]) for name in row if name.endswith("_j")]
        energy, bound = float(row["energy_j"]), float(row["bound_j"])
        assert sum(parts) - energy - bound == pytest.approx(energy)
    assert rows[0]["cost"] == ""


def test_codecarbon_appends_row_by_row() -> None:
    made = two_at_once()
    rows = list(csv.DictReader(io.StringIO(text_of(made, "codecarbon"))))
    assert [row["run_id"] for row in rows] == [session_id(n) for n in (1, 2, 3)]
    assert sum(float(row["energy_consumed"]) for row in rows) * 3.6e6 == pytest.approx(3000)
    assert sum(float(row["emissions"]) for row in rows) * 1000 == pytest.approx(
        sum(one.summary.co2_g or 0 for one in made.members)
    )


@pytest.mark.parametrize("make", [two_at_once, mixed], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["text", "markdown", *PAGES])
def test_reports_say_the_totals(name: str, make: Callable[[], Merged]) -> None:
    made = make()
    said = text_of(made, name)
    if name in PAGES:
        said = Page(said).text
    union, summed = made.totals.union, made.totals.summed
    assert union.total_uj is not None

    assert format_kwh(union.total_uj) in said
    assert energy_words(union) in said
    assert energy_words(summed) in said
    for worth in made.carbon:
        assert f"{format_co2(worth.value)} CO₂e" in said
    for share in made.ledger:
        assert not share.total_uj or format_energy(share.total_uj) in said
    for one in made.members:
        assert one.summary.id.replace("_", "\\_") in said
    for kind in made.findings:
        assert f"in {kind.sessions} of {len(made.members)} sessions" in said
    assert all(host in said for host in {one.session.host for one in made.members})


@pytest.mark.parametrize("name", PAGES)
def test_tables_of_the_page(name: str) -> None:
    page = Page(text_of(two_at_once(), name))

    rows = page.table("By project.")
    assert [(row["Project"], row["Sessions"], row["Share"]) for row in rows] == [
        ("thesis", "2", "67 %"),
        ("side", "1", "33 %"),
    ]
    assert rows[0]["Sum of sessions"].startswith("2.000")
    assert rows[0]["Union in time"].startswith("1.500")
    assert [row["Machine"] for row in page.table("By machine.")] == ["here", "there"]
    sessions = page.table("All sessions")
    assert [row["Failed cells"] for row in sessions] == ["100 J"] * 3
    ledger = page.table("The ledgers of all sessions")
    assert {row["Part"]: row["Energy"] for row in ledger} == {
        "productive": "2.7 kJ",
        "failed": "300 J",
    }


def test_statements() -> None:
    said = " ".join(sentences(two_at_once()))
    for words in (
        "over 3 sessions on 2 machines",
        "6 runs of cells, all of them counted, with 3 failed and 0 superseded ones included",
        "every joule counts once (the sum of the sessions would be 3",
        "90 % productive, 10 % failed",
        "PUE 1",
        "Poland 2024, 600 g/kWh",
        "France 2024, 44 g/kWh",
    ):
        assert words in said

    said = " ".join(sentences(mixed()))
    for words in (
        "1 of the sessions did not end of themselves",
        "Not in it: 1 journal that could not be read.",
        "at least, because a whole session, package-0 could not be read",
        "on the market basis",
        "Carbon figures of different bases are not added up.",
        "4 of the 6 sessions have no carbon figure",
        "do not show that one technique saves energy",
    ):
        assert words in said
    (lifecycle,) = (one for one in sentences(mixed()) if "on the lifecycle basis" in one)
    assert "Green Ltd" not in lifecycle
    assert text_of(mixed(), "statement") in text_of(mixed(), "markdown") + "\n"
    assert r"\ensuremath" in text_of(mixed(), "latex")


def test_bases_stand_beside_each_other() -> None:
    made = mixed()
    (fact,) = (fact for fact in MergedTable.of(made).facts if fact.name == "Carbon")
    figures = {one.unit: format_co2(one.value) for one in made.carbon}
    for basis, figure in figures.items():
        assert f"{figure} CO₂e {basis}" in fact.figure
    assert "4 without (no place on one basis, or no energy)" in fact.note
    assert "different bases are never added" in fact.note


def test_nothing_is_claimed_where_no_place_was_set() -> None:
    (fact,) = (f for f in MergedTable.of(Merged.of([told(1, 0)])).facts if f.name == "Carbon")
    assert fact.figure == ""
    assert "no place was set" in fact.note


def test_what_is_left_out_and_who_else_ran_is_visible() -> None:
    story = Story(session=session_id(1))
    story.feed(OverlapSeen(t=story.t, session="another", pid=9, notebook=None))
    made = Merged.of([story.close()], ["/tmp/<b>damaged</b>.ndjson is no session journal"])
    for name in ("text", "markdown", *PAGES):
        said = text_of(made, name)
        said = Page(said).text if name in PAGES else said.replace("\\", "")
        assert said.count("Left out") == 1
        assert "damaged" in said
        assert "1 session that is not among these ran at the same time" in said


def test_several_rates_for_the_same_joules_are_called_a_sum() -> None:
    made = Merged.of([told(1, 0, intensity=FRANCE), told(2, 50, intensity=POLAND)])
    said = text_of(made, "text")
    assert "2 sessions, of their sum" in said
    assert "different carbon intensities" in said
    assert "CO₂e in the sum of the sessions" in text_of(made, "statement")


def test_notebooks_of_one_name_are_told_apart() -> None:
    made = Merged.of(
        [told(n, n * HOUR_S, notebook=f"/home/{who}/train.ipynb") for n, who in enumerate("ab")]
    )
    names = [row[0] for row in MergedTable.of(made).groups["notebook"].rows]
    assert sorted(names) == ["/home/a/train.ipynb", "/home/b/train.ipynb"]


# --- the page ---


@pytest.mark.parametrize("name", PAGES)
def test_the_policy_of_the_page_is_kept(name: str) -> None:
    page = Page(text_of(mixed(), name))
    assert {tag for tag, _ in page.tags} <= OURS
    assert "default-src 'none'" in page.policy
    assert hash_of(page.styles[0]) in page.policy
    programs = [s for s in page.scripts if not s.lstrip().startswith("{")]
    assert len(programs) == (name == "html")
    for program in programs:
        assert hash_of(program) in page.policy
    for tag, attributes in page.tags:
        assert not any(key.startswith("on") or key == "style" for key in attributes), tag
        assert set(attributes) & {"src", "href"} == set() or tag == "link"


# --- many ---


def test_a_long_list_is_cut_and_says_so() -> None:
    made = Merged.of(told(n, n * HOUR_S, 1.0) for n in range(50))
    assert text_of(made, "text", everything=False).count("train.ipynb") < 30
    assert "+ 30 older sessions with 300 J" in text_of(made, "text", everything=False)
    assert "+ 10 older sessions with 100 J" in text_of(made, "markdown", everything=False)
    for name in ("text", "markdown"):
        everything = text_of(made, name, everything=True)
        assert "older session" not in everything
        assert session_id(0) in everything
    cut = MergedTable.of(made, most_sessions=merged_html.MOST_SESSIONS)
    assert len(cut.lines) == 50


# --- hostile words ---


def hostile(text: str, project: str | None = None) -> Merged:
    session = evil(text)
    other = structs.replace(session, id=text, host=text, boot_id=text, project=project)
    return Merged.of([session, other], [text])


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_words_of_others_stay_inert(text: str) -> None:
    made = hostile(text)
    for name in forms.MERGED:
        said = text_of(made, name)
        forms.encoded(said)
        if name in PAGES:
            page = Page(said)
            assert {tag for tag, _ in page.tags} <= OURS
        elif name == "json":
            json.loads(said)
        elif name in ("csv", "codecarbon"):
            for row in csv.reader(io.StringIO(said)):
                assert not any(cell.startswith(("=", "@", "+", "\t")) for cell in row)
        else:
            assert len(said) < 100_000
            assert "\x1b" not in said
            assert "\u202e" not in said
    assert len(forms.file_name(made, forms.DEFAULT)) < 80


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_markup_of_others_is_escaped_in_markdown_and_latex(text: str) -> None:
    # Of one project alone the title tells, too.
    for made in (hostile(text), hostile(text, project=text)):
        assert "<script" not in text_of(made, "markdown")
        assert "<img" not in text_of(made, "markdown")
        assert "<" not in text_of(made, "latex")


# --- forms ---


@pytest.mark.parametrize("form", forms.FORMS, ids=lambda form: form.name)
def test_forms_of_one_session_alone_say_so(form: forms.Form, tmp_path: Path) -> None:
    made = two_at_once()
    if form.name in ("parquet", "model_card", "boamps"):
        with pytest.raises(ReportError, match=f"{form.name} tells of one session alone; .*html"):
            forms.save(made, str(tmp_path / f"x{form.suffix}"))
        assert list(tmp_path.iterdir()) == []
    else:
        path = Path(forms.save(made, str(tmp_path / f"x{form.suffix}")))
        assert path.read_text("utf-8") == form.render(made) == form.render(made)


def test_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(forms.save(two_at_once(), name="csv"))
    assert path.name == "3-sessions-20260101.csv"


def test_one_session_merged_is_that_session() -> None:
    """The same figures as its own report has."""
    session = training()
    merged = json.loads(text_of(Merged.of([session]), "json"))
    own = json.loads(str(forms.form_of("json").render(session)))
    assert merged["total"]["sum_j"] == merged["total"]["union_j"] == own["total"]["energy_j"]
    assert merged["total"]["sum_bound_j"] == own["total"]["bound_j"]
    assert merged["co2"][0]["summed"] == own["total"]["co2_g"]
    assert merged["cost"][0]["summed"] == own["total"]["cost"]
    assert {part["part"]: part["energy_j"] for part in merged["ledger"]} == {
        name: entry["energy_j"] for name, entry in own["ledger"].items()
    }
