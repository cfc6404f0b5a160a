"""What compare() takes and refuses, before anything is measured."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.errors import RecorderError, SessionNotFound, SettingError
from jupyter_green.recorder import tracker as trackers
from jupyter_green.studies.compare import Compared, _callables, _needed_argument, compare
from tests.simulators.story import Story


def f() -> float:
    return 0.5


def g() -> float:
    return 0.5


async def later() -> None:
    pass


class Broken:
    def __repr__(self) -> str:
        raise ValueError


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
        ((f, "a"), r"argument 2 is 'a' \(str\)"),
        ((f, {"g": g}), r"argument 2 is {'g': .* \(dict\)"),
        (({"a": f, "b": 3},), r"'b' is 3 \(int\)"),
        (({"a": f, "b": later},), "'b' is a coroutine function"),
        ((3, "x"), r"argument 1 is 3 \(int\)"),
        ((f, Broken()), "argument 2 is a Broken"),
        (({"a": f, " ": g},), "each with a name"),
        (({"k" * 200 + "a": f, "k" * 200 + "b": g},), "differ in their first 200 characters"),
        (({"a": f, 1: g, "1": g},), "one name"),
    ],
)
def test_subjects_that_cannot_be_compared(subjects: tuple[Any, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        compare(*subjects)
    assert trackers.current() is None


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"repeats": 0}, "repeats must be 1 or more, it is 0"),
        ({"repeats": 1.5}, r"repeats must be a whole number, it is 1.5 \(float\)"),
        ({"repeats": "x"}, r"repeats must be a whole number, it is 'x' \(str\)"),
        ({"warmup": -1}, "warmup must be 0 or more, it is -1"),
        ({"warmup": None}, "warmup must be a whole number"),
        ({"loops": 0}, "loops must be 1 or more, it is 0"),
        ({"loops": 2.0}, "loops must be a whole number"),
        ({"seed": "one"}, "seed must be a whole number, it is 'one'"),
        ({"rest_s": -1.0}, "rest_s must be 0 to 3600 seconds, it is -1"),
        ({"rest_s": float("nan")}, "rest_s must be a finite number, it is nan"),
        ({"rest_s": "long"}, "rest_s must be a number, it is 'long'"),
        ({"metric": 5}, r"metric must be a text, as 'accuracy', it is 5 \(int\)"),
        ({"metric": " "}, "metric must be a text"),
        ({"metric": "m" * 100_000}, r"metric may have 200 characters, it has 100,000: .{,80}$"),
        ({"metric": "thing", "value": "best"}, "which 'thing' is better: say direction="),
        ({"direction": "up"}, "direction must be"),
        ({"value": "mean"}, "value must be"),
        ({"session": "last"}, "leave session"),
    ],
)
def test_arguments_that_make_no_sense(how: dict[str, Any], said: str) -> None:
    """They are refused before anything has run, whatever is compared."""
    calls: list[int] = []
    with pytest.raises(SettingError, match=said):
        compare({"f": lambda: calls.append(1), "g": g}, **how)
    assert not calls
    assert trackers.current() is None


def test_arguments_are_checked_for_labels_as_well() -> None:
    with pytest.raises(SettingError, match="repeats must be a whole number"):
        compare("a", "b", session=session_of_two(), repeats=1.5)  # type: ignore[arg-type]
    for wrong in (5, [5]):
        with pytest.raises(SettingError, match=r"session must be .* it is 5 \(int\)"):
            compare("a", "b", session=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subjects", "names"),
    [
        ((f, g), ["f", "g"]),
        (({"one": f, "two": f},), ["one", "two"]),
        ((f, Model()), ["f", "Model"]),
        ((functools.partial(f), f), ["partial", "f"]),
        (({"lone \ud800": f, "b": g},), ["lone ?", "b"]),
        # A name stands in every event of its runs.
        (({"a" * 100_000: f, "b" * 201: g},), ["a" * 200, "b" * 200]),
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


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (f, False),
        (Model(), False),
        (lambda seed: seed, True),
        (lambda seed, depth=3: seed, True),
        (lambda seed=0: seed, False),
        (lambda *seeds: seeds, False),
        (lambda one, two: one, False),
        (functools.partial(lambda one, two: one, 1), True),
        (functools.partial(lambda seed: seed, seed=1), False),
        (lambda *, seed: seed, True),
        (lambda one, *, seed: seed, False),
        (dict, False),
    ],
)
def test_who_gets_the_number_of_its_round(function: Callable[..., Any], takes: bool) -> None:
    assert (_needed_argument(function) is not None) is takes
