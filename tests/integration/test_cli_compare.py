"""``jupyter green compare`` as a user has it: labels of notebooks that were executed."""

import re
from pathlib import Path

import pytest

from .test_cli import Home, one_line

pytestmark = pytest.mark.kernel

TRY = """%%energy --label "{label}" -q
import time
from jupyter_green import log
time.sleep({seconds})
log(recall=0.5, accuracy={accuracy})
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Somebody with three runs of two techniques in one notebook, and another in a second one."""
    home = Home(tmp_path_factory.mktemp("compare"))
    for name, label, seconds, accuracy in (
        ("b.ipynb", "int8, batch 1", 0.05, 0.7),
        ("a.ipynb", "quantised", 0.2, 0.8),
    ):
        tries = [
            TRY.format(label=each, seconds=each_s, accuracy=value + 0.001 * number)
            for number in range(3)
            for each, each_s, value in (("baseline", 0.4, 0.9), (label, seconds, accuracy))
        ]
        done = home.green("run", home.notebook(name, "%load_ext jupyter_green", *tries))
        assert done.code == 0, done.err
    return home


def told(home: Home, *arguments: str | Path) -> list[str]:
    done = home.green("compare", *arguments)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


def test_labels_of_the_newest_session(home: Home) -> None:
    lines = told(home, "--labels", "baseline, quantised")

    # With whatever is measured here: modelled, that it took less time.
    assert re.search(r"quantised (used|took) \d+(\.\d+)? % less (energy|time) than", lines[0])
    assert "accuracy was 10.0 points lower" in lines[0]
    rows = {re.split(r"\s{2,}", line)[0]: line for line in lines[2:5]}
    assert list(rows) == ["Label", "baseline", "quantised"]
    assert "Last accuracy" in rows["Label"]
    assert re.match(r"quantised +3 ", rows["quantised"])


def test_another_metric_and_markdown(home: Home) -> None:
    text = "\n".join(
        told(home, "--labels=baseline,quantised", "--metric", "recall", "--format", "markdown")
    )

    assert "recall was the same in every run" in text
    assert re.search(r"^\| Label \| .*\| Last recall \|", text, re.M)
    assert re.search(r"^\| quantised \| 3 \|", text, re.M)


def test_over_sessions_and_a_name_with_a_comma(home: Home) -> None:
    labels = 'baseline,quantised,"int8, batch 1"'
    for names in (["a.ipynb", "b.ipynb"], [home.sessions_dir]):
        lines = told(home, "--labels", labels, *names)
        rows = {re.split(r"\s{2,}", line)[0]: re.split(r"\s{2,}", line) for line in lines}
        assert rows["baseline"][1] == "6"
        assert rows["int8, batch 1"][1] == rows["quantised"][1] == "3"
        assert "The p-values of 2 pairs are corrected for their number (Holm)." in lines


def test_a_place(home: Home) -> None:
    assert "CO2e" not in told(home, "--labels", "baseline,quantised")[2]
    assert "CO2e" in told(home, "--labels", "baseline,quantised", "--place", "FR")[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--labels", "baseline,nothing"], "there are 'baseline', 'quantised'"),
        (["--labels", "baseline"], "two labels or runs at least, not 1"),
        (["--labels", ","], "--labels names nothing"),
        (["--labels", "a,b\nc"], "--labels cannot be read"),
        (["--labels", "baseline,baseline"], "named twice"),
        (["--labels", "baseline,quantised", "c.ipynb"], "c.ipynb"),
        (["--labels", "baseline,quantised", "--place", "Narnia"], "Narnia"),
        (["--metric", "accuracy", "a.ipynb", "b.ipynb"], "give these, too"),
        (["a.ipynb"], "two sessions are compared"),
        (["a.ipynb", "b.ipynb", "c.ipynb"], "two sessions are compared"),
        (["--label", "a,b"], "there is no option --label"),
    ],
)
def test_refused(home: Home, arguments: list[str], words: str) -> None:
    assert words in one_line(home.green("compare", *arguments))


def test_help(home: Home) -> None:
    done = home.green("compare", "--help")

    assert done.code == 0
    assert "--labels baseline,quantised --metric accuracy" in done.out
