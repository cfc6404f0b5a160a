"""What compare() takes and refuses, before anything is measured."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.errors import RecorderError, SessionNotFound, SettingError
from jupyter_green.recorder import tracker as trackers
from jupyter_green.studies.compare import Compared, _callables, compare
from tests.simulators.story import Story


def f() -> float:
    return 0.5


def g() -> float:
    return 0.5


async def later() -> None:
    pass


class Model:
    def __call__(self) -> None:
        pass


def session_of_two(name: str = "s") -> Any:
    story = Story(session=name)
    for round_ in range(5):
        for label, seconds in (("a", 10.0), ("b", 5.0)):
            story.cell("fit()", seconds + round_ / 10, label=label)
    return story.close()


@pytest.mark.parametrize(
    ("subjects", "said"),
    [
        ((), "two callables at least"),
        ((f,), "two callables at least"),
        (({"a": f},), "two callables at least"),
        ((f, f), "one name: give a mapping"),
        ((lambda: 1, lambda: 2), "one name: give a mapping"),
        ((f, "a"), "'str' is 'a'"),
        ((f, {"g": g}), "'dict' is {'g'"),
        (({"a": f, "b": 3},), "'b' is 3"),
        (({"a": f, "b": later},), "'b' is a coroutine function"),
        (({"a": f, " ": g},), "each with a name"),
        (({"a": f, 1: g, "1": g},), "one name"),
    ],
)
def test_subjects_that_cannot_be_compared(subjects: tuple[Any, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        compare(*subjects)
    assert trackers.current() is None


@pytest.mark.parametrize(
    "how",
    [
        {"repeats": 0},
        {"warmup": -1},
        {"loops": 0},
        {"rest_s": -1.0},
        {"rest_s": float("nan")},
        {"direction": "up"},
        {"value": "mean"},
        {"session": "last"},
    ],
)
def test_arguments_that_make_no_sense(how: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        compare(f, g, **how)
    assert trackers.current() is None


@pytest.mark.parametrize(
    ("subjects", "names"),
    [
        ((f, g), ["f", "g"]),
        (({"one": f, "two": f},), ["one", "two"]),
        ((f, Model()), ["f", "Model"]),
        ((functools.partial(f), f), ["partial", "f"]),
        (({"lone \ud800": f, "b": g},), ["lone ?", "b"]),
    ],
)
def test_names(subjects: tuple[Callable[[], Any], ...], names: list[str]) -> None:
    assert list(_callables(subjects)) == names


def test_labels_of_a_session() -> None:
    found = compare("a", "b", session=session_of_two())
    assert isinstance(found, Compared)
    assert "less energy than a" in found.verdict
    assert found["b"].energies_j[0] == pytest.approx(60)
    assert repr(found).startswith(found.verdict)
    assert found._repr_html_().startswith("<div")
    assert found.markdown().startswith(found.verdict)
    assert len(found.dataframe()) == 10
    assert found.chart().to_dict()["description"] == "Energy by label"
    assert [side.name for side in found.sides] == ["a", "b"]
    assert found.pairs[0].energy is not None
    assert found.notes == ()


def test_labels_of_several_sessions() -> None:
    one, other = session_of_two("one"), session_of_two("other")
    # On one machine at one time: nothing of either can be trusted.
    found = compare("a", "b", session=[one, other])
    assert "cannot be judged" in found.verdict
    assert len(compare("a", "b", session=[one, one])["a"].repeats) == 5


def test_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match="nothing is tracked"):
        compare("a", "b")
    with pytest.raises(SessionNotFound):
        compare("a", "b", session=str(tmp_path / "nothing.ndjson"))
