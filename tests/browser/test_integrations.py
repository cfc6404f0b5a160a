"""A framework's metric, which nobody logged, beside its energy: in the panel and in the report."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from jupyter_green.insight.stages import by_stage
from jupyter_green.report.html import page as html
from jupyter_green.units import format_energy
from tests.simulators.machine import RaplMachine

from .page import LabPage
from .watched import open_notebook

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

PREPARE = """\
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from jupyter_green import autolog
autolog("sklearn")
x, y = load_digits(return_X_y=True)"""
FIT = "_ = MLPClassifier((16,), max_iter=12, early_stopping=True, random_state=1).fit(x, y)"
SEARCH = "_ = GridSearchCV(SGDClassifier(), {'alpha': [1e-4, 1e-2]}, cv=3).fit(x, y)"
QUIET = "import warnings; warnings.simplefilter('ignore')\n"


def test_a_fit_and_a_search(page: LabPage, machine: RaplMachine) -> None:
    cells = [QUIET + PREPARE, FIT, SEARCH]
    watched = open_notebook(page, machine, "sklearn.ipynb", cells)
    page.show_panel()
    for number in (1, 2, 3):
        page.run(number)
    session = watched.session(cells=3)
    runs = {metric.run for metric in session.metrics}
    assert runs == {"MLPClassifier 1", "GridSearchCV 1"}
    assert all(metric.source == "callback" for metric in session.metrics)
    (model, *_) = session.models
    assert (model.run, bool(model.parameters)) == ("MLPClassifier 1", True)

    best = page.panel.locator('[data-figure="metric"]')
    expect(best).to_contain_text("score")
    # What a training tells of its stage counts, and not what its cell seems to be.
    joules = next(row.total_uj for row in by_stage(session) if row.name == "training")
    expect(page.panel.get_by_label("Energy by stage")).to_contain_text(format_energy(joules))
    told = html.render(session, light=True)
    for words in ("MLPClassifier 1", "GridSearchCV 1", "validation_score"):
        assert words in told
