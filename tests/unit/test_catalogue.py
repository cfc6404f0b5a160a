"""The catalogue of techniques: complete, from fixed lists, with sources; and its two forms."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

import jupyter_green
from jupyter_green.errors import SettingError
from jupyter_green.insight import catalogue
from jupyter_green.insight.catalogue import Technique, for_finding, for_stage, technique, techniques
from jupyter_green.notebook import options
from jupyter_green.report.catalogue import entry, table
from jupyter_green.report.lines import display_width

PACKAGE = Path(jupyter_green.__file__).parent
TABLE = PACKAGE / "data" / "techniques.json"

each = pytest.mark.parametrize("one", techniques(), ids=lambda one: one.name)


# --- the entries ---


@each
def test_every_entry_is_complete(one: Technique) -> None:
    for words in (one.what, one.saving, one.trade_off, one.conditions):
        assert len(words) > 10
        assert words.strip() == words
        assert words.isprintable()
        assert words.endswith("."), words
    assert one.stage in catalogue.STAGES
    assert one.category is None or one.category in catalogue.CATEGORIES
    assert one.evidence
    assert set(one.evidence) <= set(catalogue.EVIDENCE)
    assert set(one.findings) <= set(catalogue.FINDING_KINDS)
    for repeated in (one.evidence, one.findings, one.sources):
        assert len(set(repeated)) == len(repeated)


@each
def test_every_entry_has_sources(one: Technique) -> None:
    assert one.sources
    for source in one.sources:
        assert source.authors
        assert source.title
        assert 1990 <= source.year <= 2026
        assert re.fullmatch(r"https://[^\s<>]+", source.link)
        assert source.checked in catalogue.CHECKED
        arxiv = re.fullmatch(r"https://arxiv\.org/abs/(\d\d)\d\d\.\d{4,5}", source.link)
        # The number of a preprint begins with its year.
        assert arxiv is None or source.year == 2000 + int(arxiv[1])


@each
def test_a_figure_says_what_it_is(one: Technique) -> None:
    """And an entry without one says so, with no number that could be taken for a saving."""
    figures = [name for name in catalogue.EVIDENCE if "energy" in name or name == "proxy"]
    if one.has_figure:
        assert one.evidence[0] in figures
        assert one.basis == one.evidence[0].removesuffix(" energy")
    else:
        assert one.basis == "no figure"
        assert not re.search(r"\d (?:%|times) (?:less|fewer|faster)", one.saving)


@each
def test_a_name_is_a_tag(one: Technique) -> None:
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", one.name)
    tags = options.parse_cell_line(f"--technique {one.name} --stage {one.stage}").tags
    assert (tags.technique, tags.stage) == (one.name, one.stage)


def test_names_are_unique() -> None:
    names = [one.name for one in techniques()]
    assert len(set(names)) == len(names) >= 25


def test_only_what_concerns_no_model_has_no_category() -> None:
    without = {one.stage for one in techniques() if one.category is None}
    assert without == {"infrastructure", "evaluation"}


def test_every_stage_and_category_has_entries() -> None:
    assert {one.stage for one in techniques()} == set(catalogue.STAGES)
    assert {one.category for one in techniques()} == {*catalogue.CATEGORIES, None}
    order = [catalogue.STAGES.index(one.stage) for one in techniques()]
    assert order == sorted(order)


def test_the_file_has_no_field_that_is_not_read() -> None:
    raw = msgspec.json.decode(TABLE.read_bytes())
    assert len(raw) == len(techniques())
    assert all(set(one) == set(Technique.__struct_fields__) for one in raw)


# --- findings ---


def kinds_in_the_code() -> set[str]:
    """Every ``kind="..."`` that a room of insight gives a finding."""
    return {
        keyword.value.value
        for path in (PACKAGE / "insight").glob("*.py")
        for call in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if call.func.id in ("finding", "Finding")
        for keyword in call.keywords
        if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant)
    }


def test_the_kinds_are_those_of_the_findings() -> None:
    assert kinds_in_the_code() == set(catalogue.FINDING_KINDS)


@pytest.mark.parametrize("kind", catalogue.FINDING_KINDS)
def test_every_kind_has_an_entry_or_a_reason(kind: str) -> None:
    assert bool(for_finding(kind)) != bool(catalogue.WITHOUT_TECHNIQUE.get(kind))


def test_for_finding() -> None:
    assert technique("mixed-precision") in for_finding("full precision")
    assert technique("release-device") in for_finding("idle device")
    assert technique("pruning") not in for_finding("idle device")
    with pytest.raises(SettingError, match="no kind of finding is called 'idle'; there are super"):
        for_finding("idle")


# --- looking up ---


@pytest.mark.parametrize("name", ["mixed-precision", "Mixed Precision", " mixed_precision "])
def test_a_technique_by_its_name(name: str) -> None:
    assert technique(name).name == "mixed-precision"


def test_names_that_are_not_there() -> None:
    with pytest.raises(SettingError, match=r"'quantization'; did you mean quantisation\?"):
        technique("quantization")
    with pytest.raises(SettingError, match="'zzz'; jupyter green techniques lists them"):
        technique("zzz")
    with pytest.raises(SettingError) as raised:
        technique("\x1b[31m" + "a" * 10_000)
    assert len(str(raised.value)) < 200
    assert str(raised.value).isprintable()


def test_for_stage() -> None:
    assert {one.stage for one in for_stage("deployment")} == {"deployment"}
    assert sum(len(for_stage(stage)) for stage in catalogue.STAGES) == len(techniques())
    with pytest.raises(SettingError, match="no stage is called 'modelling'; there are infra"):
        for_stage("modelling")


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        technique("pruning").saving = "everything"


def test_an_entry_shows_itself_in_one_line() -> None:
    assert repr(technique("early-stopping")) == (
        "<Technique early-stopping: training, energy-efficient training; proxy, single study>"
    )
    assert repr(technique("power-limit")) == (
        "<Technique power-limit: infrastructure; measured energy>"
    )


# --- views ---


@pytest.mark.parametrize("width", [10, 50, 80, 100, 500])
def test_the_table_as_text_fits(width: int) -> None:
    lines = table(techniques(), width=width).splitlines()
    assert max(map(display_width, lines)) <= max(width, 50)
    for one in techniques():
        (line,) = [line for line in lines if line.split()[:1] == [one.name]]
        assert line.split("  ")[1:] != []
        assert f"  {one.basis}  " in line
    assert [line for line in lines if line.casefold() in catalogue.STAGES] == [
        stage.capitalize() for stage in catalogue.STAGES
    ]


@each
def test_one_as_text_says_everything(one: Technique) -> None:
    shown = " ".join(entry(one, width=80).split())
    for words in (one.name, one.what, one.saving, one.trade_off, one.conditions, *one.evidence):
        assert words in shown
    for source in one.sources:
        assert source.short in shown
        assert source.link in shown
    assert "Savings are those of the sources" in shown


def test_the_table_as_markdown() -> None:
    head, rule, *rows = table(techniques(), "markdown").split("\n\n")[0].splitlines()
    cells = len(re.findall(r"(?<!\\)\|", head))
    assert cells == 8
    assert len(re.findall(r"\|", rule)) == cells
    assert len(rows) == len(techniques())
    for row, one in zip(rows, techniques(), strict=True):
        assert len(re.findall(r"(?<!\\)\|", row)) == cells
        assert row.startswith(f"| {one.name} |")
        assert "…" not in row, "cut"


@each
def test_one_as_markdown_links_its_sources(one: Technique) -> None:
    shown = entry(one, "markdown")
    assert shown.startswith(f"### {one.name}\n")
    for source in one.sources:
        assert f"<{source.link}>" in shown
