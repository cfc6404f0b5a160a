"""What the notebooks show and say is carried by the sessions that are kept beside them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import pytest

from jupyter_green.insight.catalogue import Technique, techniques
from jupyter_green.recorder.names import digest

from . import test_runs_models, test_runs_practice, test_runs_searches
from .kept import NAMES, NOTEBOOKS, SESSIONS, Kept, kept, texts
from .runs import LIMIT_S

LARGEST_NOTEBOOK, LARGEST_SESSION = 150_000, 1_000_000
"""Bytes."""

SAVING = re.compile(
    r"(?i)\b(sav(e|es|ed|ing|ings)|cheaper|halv(e|es|ed)"
    r"|(less|fewer|lower|more) (energy|joules|kWh|CO2e?))\b"
)
SOURCED = re.compile(r"\((?:[^()]|\([^()]*\))*(?:19|20)\d\d|https?://|arXiv")
DISCLAIMED = re.compile(r"(?i)no saving in energy is told")
MEASURED = re.compile(
    r"\d\s*(?:(?:µ|m|k)?J|k?Wh|W|g|% (?:less|more|of the|energy|time|accuracy|CO))(?:\b|$|\s)"
)
PLACES = re.compile(r"/(?:home|root|tmp|work|usr|Users)/|site-packages")

each = pytest.mark.parametrize("name", NAMES)
load = functools.cache(kept)


def sentences(text: str) -> Iterator[str]:
    """One by one, without the code in them."""
    for paragraph in re.split(r"\n\s*\n", re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)):
        yield from re.split(r"(?<=[.!?:])\s+(?=[A-Z*\"“])", " ".join(paragraph.split()))


def is_modelled(one: Kept) -> bool:
    """No counter of the session was measured."""
    return set(one.session.total.provenance) == {"modelled"}


@each
def test_its_claims_follow_from_its_session(name: str) -> None:
    one = load(name)
    assert one.claimed.strip()
    assert one.recomputed == one.claimed


@each
def test_its_session_is_of_these_cells(name: str) -> None:
    """Whoever changes a cell keeps the notebook anew: ``python -m tests.notebooks.keep``."""
    one = load(name)
    recorded = sorted(one.session.cells, key=lambda cell: cell.number)
    assert [cell.cell for cell in recorded] == [digest(cell.source) for cell in one.code]


@each
def test_all_of_it_ran_once_in_order(name: str) -> None:
    one = load(name)
    assert [cell.execution_count for cell in one.code] == list(range(1, len(one.code) + 1))
    assert one.claims is one.code[-1]
    for cell in one.code:
        assert not [out for out in cell.outputs if out.output_type == "error"]
        assert not [out for out in cell.outputs if out.get("name") == "stderr"], cell.id
    assert one.session.duration_s < LIMIT_S


@each
def test_it_is_small_and_speaks_of_no_other_machine(name: str) -> None:
    notebook, session = NOTEBOOKS / f"{name}.ipynb", SESSIONS / f"{name}.ndjson"
    assert notebook.stat().st_size < LARGEST_NOTEBOOK
    assert session.stat().st_size < LARGEST_SESSION
    for path in (notebook, session):
        assert not PLACES.findall(path.read_text())


@each
def test_no_saving_is_claimed_from_modelled_counters(name: str) -> None:
    one = load(name)
    if not is_modelled(one):
        return
    claimed = [
        sentence
        for cell in one.code
        for text in texts(cell)
        for sentence in sentences(DISCLAIMED.sub("", text))
        if SAVING.search(sentence) and "modelled" not in sentence and not SOURCED.search(sentence)
    ]
    assert not claimed


def test_a_claimed_saving_would_be_seen() -> None:
    for sentence in (
        "The pruned network used 30 % less energy.",
        "int8 saves 12 J.",
        "Modelled: no saving in energy is told. b halved it.",
    ):
        assert SAVING.search(DISCLAIMED.sub("", sentence))
    allowed = "Modelled, so that no saving in energy is told. b took 30 % less time."
    assert not SAVING.search(DISCLAIMED.sub("", allowed))


@each
def test_its_prose_holds_no_figure_of_its_own(name: str) -> None:
    """A figure in prose is published and has its source beside it; what was measured here is an
    output."""
    bare = [
        sentence
        for cell in load(name).notebook.cells
        if cell.cell_type == "markdown" and not SOURCED.search(cell.source)
        for sentence in sentences(cell.source)
        if MEASURED.search(sentence)
    ]
    assert not bare


def tags(name: str) -> set[str]:
    """The techniques that a notebook's cells and blocks are tagged with."""
    session = load(name).session
    return {one.tags.technique or "" for one in (*session.cells, *session.spans)} - {""}


@pytest.mark.parametrize("one", techniques(), ids=lambda one: one.name)
def test_the_catalogue_names_a_notebook_that_measures_the_technique(one: Technique) -> None:
    measured = {name for name in NAMES if one.name in tags(name)}
    assert (one.notebook in measured) if measured else one.notebook is None


@each
def test_its_techniques_are_in_the_catalogue(name: str) -> None:
    assert tags(name) <= {one.name for one in techniques()}


def test_no_session_is_kept_of_nothing() -> None:
    assert {path.stem for path in SESSIONS.glob("*")} == set(NAMES)


def test_every_notebook_is_run_by_a_test() -> None:
    run = (*test_runs_models.NAMES, *test_runs_practice.NAMES, *test_runs_searches.NAMES)
    assert sorted(run) == list(NAMES)
