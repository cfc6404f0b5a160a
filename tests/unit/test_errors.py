"""The tree of errors: as documented, with one base, and with the built-in ones people expect."""

import inspect
import re

import pytest

from jupyter_green import errors
from jupyter_green.errors import JupyterGreenError, UnreadableCounter


def classes() -> dict[str, type[Exception]]:
    return {
        name: one
        for name, one in vars(errors).items()
        if inspect.isclass(one) and one.__module__ == errors.__name__
    }


def documented_parents() -> dict[str, str]:
    """Child and parent of each line of the tree in the docstring."""
    assert errors.__doc__
    parents: dict[str, str] = {}
    above = {0: JupyterGreenError.__name__}
    for line in errors.__doc__.splitlines():
        match = re.match(r"(?P<indent>    [│ ]*)[├└]── (?P<name>\w+)", line)
        if match:
            depth = len(match["indent"]) // 4
            above[depth] = match["name"]
            parents[match["name"]] = above[depth - 1]
    return parents


def test_tree_is_documented_as_it_is() -> None:
    real = {
        name: one.__bases__[0].__name__
        for name, one in classes().items()
        if one is not JupyterGreenError
    }
    assert real == documented_parents()


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("SettingError", ValueError),
        ("UnknownPlace", ValueError),
        ("MetricError", TypeError),
        ("MissingPackage", ImportError),
    ],
)
def test_built_in_parents(name: str, builtin: type[Exception]) -> None:
    assert issubclass(classes()[name], builtin)


def test_every_error_says_what_it_means() -> None:
    assert all(one.__doc__ for one in classes().values())


def test_unreadable_counter_with_remedy() -> None:
    error = UnreadableCounter("intel-rapl:0 is closed to users", "ask for read access")
    assert str(error) == "intel-rapl:0 is closed to users; ask for read access"
    assert (error.reason, error.remedy) == (
        "intel-rapl:0 is closed to users",
        "ask for read access",
    )


def test_unreadable_counter_without_remedy() -> None:
    assert str(UnreadableCounter("the device is gone")) == "the device is gone"
