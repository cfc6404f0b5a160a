"""Every form of every session: it can be had, its totals are the fold's, and it is one file."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from jupyter_green import save_report
from jupyter_green.errors import ReportError
from jupyter_green.report import forms
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.golden.digest import HERE, journals
from tests.simulators.evil import NASTY, evil
from tests.simulators.story import Story, training

GOLDEN = [path for path in journals() if path.stem != "newer_major"]

QUICK = [form for form in forms.FORMS if not form.name.startswith("html")]
"""Pages draw charts, which takes seconds, and have tests of their own."""


def golden(journal: Path) -> Session:
    fold = Fold()
    fold.feed_lines(journal.read_bytes())
    return fold.session()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and no settings of anybody."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- all of them ---


@pytest.mark.parametrize("journal", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", QUICK, ids=lambda form: form.name)
def test_every_form_of_every_golden_session(form: forms.Form, journal: Path) -> None:
    session = golden(journal)
    if form.name == "boamps" and session.total.total_uj is None:
        with pytest.raises(ReportError, match="no counter"):
            form.render(session)
        return
    made = form.render(session)
    assert isinstance(made, bytes) == form.binary
    assert made
    assert made == form.render(session), "the same session has the same report"


@pytest.mark.parametrize("name", ["html", "html_light"])
def test_pages(name: str) -> None:
    made = forms.form_of(name).render(golden(HERE / "plain.ndjson"))
    assert isinstance(made, str)
    assert made.startswith("<!")


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_every_form_takes_what_is_hostile(text: str) -> None:
    session = evil(text)
    for form in forms.FORMS:
        if form.media_type == "text/html":
            continue  # of 1 MB strings and markup, its own tests tell
        made = form.render(session)
        if isinstance(made, str):
            forms.encoded(made)
        # These keep every word, because programs read them.
        if form.name not in ("csv", "json", "parquet"):
            assert len(made) < 100_000, form.name


@pytest.mark.parametrize("form", forms.FORMS, ids=lambda form: form.name)
def test_forms_without_cells(form: forms.Form) -> None:
    story = Story()
    story.sleep(1.0)
    assert form.render(story.session())


def test_names_and_endings_are_all_different() -> None:
    assert len({form.name for form in forms.FORMS}) == len(forms.FORMS)
    assert len({form.suffix for form in forms.FORMS}) == len(forms.FORMS)


def test_forms_load_nothing_before_use() -> None:
    code = (
        "import json, sys; import jupyter_green.report.forms; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "jupyter_green" in loaded
    assert loaded.isdisjoint({"altair", "pandas", "pyarrow", "vl_convert", "huggingface_hub"})


# --- names ---


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("report.txt", "text"),
        ("a/b/REPORT.MD", "markdown"),
        ("x.statement.md", "statement"),
        ("statement.md", "statement"),
        ("x.tex", "latex"),
        ("x.csv", "csv"),
        ("emissions.csv", "codecarbon"),
        ("lab.emissions.csv", "codecarbon"),
        ("my_emissions.csv", "csv"),
        ("x.json", "json"),
        ("x.boamps.json", "boamps"),
        ("x.model-card.md", "model_card"),
        ("x.parquet", "parquet"),
    ],
)
def test_the_ending_says_the_form(path: str, name: str) -> None:
    assert forms.form_for(path).name == name


@pytest.mark.parametrize("path", ["report", "report.docx", "report.ipynb", "csv/report"])
def test_endings_that_say_nothing(path: str) -> None:
    with pytest.raises(ReportError, match=r"\.md \(markdown\)"):
        forms.form_for(path)


def test_unknown_forms_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ReportError, match=r"text, markdown.* not as 'exe'"):
        forms.form_of("exe")


# --- files ---


def test_save(here: Path) -> None:
    session = training()
    written = forms.save(session, "report.json")
    assert written == str(here / "report.json")
    told = json.loads(Path(written).read_text("utf-8"))
    assert told["total"]["energy_j"] == session.total.energy_j


def test_save_finds_a_name(here: Path) -> None:
    written = Path(forms.save(training()))
    assert written.parent == here
    assert written.name == f"train-20260102T030405-abcdef{forms.DEFAULT.suffix}"


def test_save_in_a_form_that_is_named(here: Path) -> None:
    assert "CodeCarbon" not in forms.save(training(), "x.csv", "codecarbon")
    assert (here / "x.csv").read_text().startswith("timestamp,")


def test_save_at_home(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "config"))
    (here / "config").mkdir()
    forms.save(training(), "~/x.md")
    assert (here / "config" / "x.md").exists()


@pytest.mark.parametrize("path", ["absent/x.md", "null\0byte.md", "lone\ud800.md"])
def test_save_where_nothing_can_be_written(here: Path, path: str) -> None:
    with pytest.raises(ReportError, match="cannot be written"):
        forms.save(training(), path)


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_default_names_stay_in_their_directory(here: Path, text: str) -> None:
    session = structs.replace(training(), notebook=text, id=f"../../{text}")
    written = Path(forms.save(session, name="markdown"))
    assert written.parent == here
    assert written.exists()
    assert len(written.name) < 200


def test_save_report(here: Path) -> None:
    session = training()
    assert save_report("x.md", session) == str(here / "x.md")
    assert save_report("y.txt", str(HERE / "plain.ndjson"), "csv") == str(here / "y.txt")
    assert (here / "y.txt").read_text().startswith("number,")


# --- the command ---


def green(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "jupyter_green.cli.app", "report"]
    return subprocess.run(
        [*command, str(HERE / "plain.ndjson"), *arguments], capture_output=True, check=False
    )


def test_command_takes_the_form_from_the_ending(here: Path) -> None:
    assert green("--output", "x.boamps.json").returncode == 0
    assert "measures" in json.loads((here / "x.boamps.json").read_text("utf-8"))
    assert green("--output", "emissions.csv").returncode == 0
    assert (here / "emissions.csv").read_text().startswith("timestamp,")


def test_a_file_without_ending_is_text(here: Path) -> None:
    assert green("--output", "report").returncode == 0
    assert "Energy: " in (here / "report").read_text("utf-8")


def test_the_form_that_is_given_wins(here: Path) -> None:
    assert green("--output", "x.txt", "--format", "latex").returncode == 0
    assert "\\ensuremath" in (here / "x.txt").read_text("utf-8")


def test_command_prints(here: Path) -> None:
    assert b"Energy: " in green().stdout
    told = green("--format", "statement", "--place", "FR", "--pue", "1.5").stdout.decode()
    assert "PUE 1.5" in told
    assert "France" in told
    made = green("--format", "parquet").stdout
    assert made.startswith(b"PAR1")
    assert made.endswith(b"PAR1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "x.docx"), "the name tells no form"),
        (("--output", "absent/x.md"), "cannot be written"),
        (("--format", "exe"), "not the str 'exe'"),
    ],
)
def test_command_refuses_in_one_line(here: Path, arguments: tuple[str, ...], message: str) -> None:
    done = green(*arguments)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


# --- CSV that spreadsheets open ---


@pytest.mark.parametrize("name", ["csv", "codecarbon"])
@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_no_cell_of_a_table_is_a_formula(name: str, text: str) -> None:
    made = forms.form_of(name).render(evil(text))
    assert isinstance(made, str)
    csv.field_size_limit(10_000_000)
    header, *rows = list(csv.reader(io.StringIO(made)))
    assert len(rows) == 1
    assert len(rows[0]) == len(header)
    for cell in rows[0]:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) or _is_number(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_default_files_are_written_under_the_umask(here: Path) -> None:
    mask = os.umask(0o027)
    try:
        written = forms.save(training())
    finally:
        os.umask(mask)
    assert os.stat(written).st_mode & 0o777 == 0o640
