"""Frameworks: imported on use only, wrapped exactly, and the outermost call is the run."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from jupyter_green.errors import MetricError, SettingError
from jupyter_green.integrations import SUPPORTED, autolog, outermost
from jupyter_green.integrations.outermost import Entry
from jupyter_green.integrations.training import PLENTY, Pace, checked, guarded
from jupyter_green.integrations.wrapping import Wrapping

FRAMEWORKS = {
    # Name, package, and what pip calls it.
    "keras": ("keras", "keras"),
    "lightgbm": ("lightgbm", "lightgbm"),
    "lightning": ("lightning", "lightning"),
    "sklearn": ("sklearn", "scikit-learn"),
    "transformers": ("transformers", "transformers"),
    "xgboost": ("xgboost", "xgboost"),
}

ABSENT = """
import importlib.abc, json, sys

class Absent(importlib.abc.MetaPathFinder):
    names = {absent}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])

sys.meta_path.insert(0, Absent())
from jupyter_green.errors import MissingPackage
from jupyter_green.integrations import autolog

def told(call):
    try:
        return repr(call())
    except MissingPackage as error:
        return str(error)
"""


def python(code: str) -> Any:
    """What a fresh interpreter prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- imports ---


def test_our_modules_import_no_framework() -> None:
    heavy = [package for package, _ in FRAMEWORKS.values()]
    modules = [SUPPORTED[name].module for name in FRAMEWORKS]
    code = f"""
import importlib, json, sys
import jupyter_green, jupyter_green.integrations
for name in {modules!r}:
    importlib.import_module(name)
print(json.dumps([name for name in {[*heavy, "torch", "numpy"]!r} if name in sys.modules]))
"""
    assert python(code) == []


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_absent_framework(name: str) -> None:
    package, pip_name = FRAMEWORKS[name]
    absent = {package, "pytorch_lightning"}
    code = f"""
{ABSENT.format(absent=absent)}
def by_hand():
    from jupyter_green.integrations.{name} import EnergyCallback
    return EnergyCallback()
print(json.dumps([told(lambda: autolog({name!r})), told(by_hand), autolog()]))
"""
    automatic, by_hand, installed = python(code)
    for message in (automatic, by_hand):
        assert "is not installed here" in message
        assert message.endswith(f"pip install {pip_name}")
    assert installed == []


def test_one_that_is_absent_installs_none() -> None:
    pytest.importorskip("sklearn")
    code = f"""
{ABSENT.format(absent={"keras"})}
from sklearn.linear_model import LinearRegression
fit = LinearRegression.fit
message = told(lambda: autolog("sklearn", "keras"))
print(json.dumps([message, LinearRegression.fit is fit, autolog(off=True)]))
"""
    message, is_untouched, installed = python(code)
    assert message.endswith("pip install keras")
    assert is_untouched
    assert installed == []


def test_what_is_imported() -> None:
    pytest.importorskip("sklearn")
    code = """
import json
from jupyter_green.integrations import autolog
none = autolog()
import sklearn.linear_model
print(json.dumps([none, autolog(), autolog(), autolog("sklearn", off=True)]))
"""
    assert python(code) == [[], ["sklearn"], ["sklearn"], []]


def test_trackers_only_by_their_names() -> None:
    """They write into what is the user's, which may be a server."""
    pytest.importorskip("mlflow")
    code = """
import json, mlflow
from jupyter_green.integrations import autolog
print(json.dumps([autolog(), autolog("mlflow"), autolog(off=True)]))
"""
    assert python(code) == [[], ["mlflow"], []]


def test_unknown_framework() -> None:
    with pytest.raises(SettingError, match=r"no framework 'kerass'; it knows .*keras"):
        autolog("kerass")
    with pytest.raises(SettingError):
        autolog("kerass", off=True)


# --- wrapping ---


class Base:
    def fit(self, x: int, *, more: int = 0) -> int:
        """Fit it."""
        return x + more


class Model(Base):
    """Inherits what is wrapped."""


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def around(calls: list[str]) -> Any:
    def around(original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        calls.append(type(args[0]).__name__)
        return original(*args, **kwargs)

    return around


def test_method_is_wrapped_and_as_before(calls: list[str], around: Any) -> None:
    wrapping = Wrapping(lambda wrapping: wrapping.method(Model, "fit", around))
    signature = inspect.signature(Model.fit)
    wrapping.install()
    assert Model().fit(1, more=2) == 3
    assert Base().fit(1) == 1
    assert calls == ["Model"]
    assert (inspect.signature(Model.fit), Model.fit.__doc__) == (signature, "Fit it.")
    wrapping.uninstall()
    assert "fit" not in Model.__dict__
    assert Model().fit(1) == 1
    assert calls == ["Model"]


def test_each_user_uninstalls(calls: list[str], around: Any) -> None:
    wrapping = Wrapping(lambda wrapping: wrapping.method(Model, "fit", around))
    wrapping.install()
    wrapping.install()
    wrapping.uninstall()
    Model().fit(1)
    wrapping.uninstall()
    wrapping.uninstall()
    Model().fit(1)
    assert calls == ["Model"]
    assert "fit" not in Model.__dict__


def test_who_wraps_ours_keeps_his(calls: list[str], around: Any) -> None:
    """Ours stays below, and does nothing."""
    wrapping = Wrapping(lambda wrapping: wrapping.method(Base, "fit", around))
    before = Base.fit
    wrapping.install()
    ours = Base.fit

    def theirs(self: Base, *args: int, **kwargs: int) -> int:
        return 10 * ours(self, *args, **kwargs)

    Base.fit = theirs  # type: ignore[assignment, method-assign]
    try:
        wrapping.uninstall()
        assert Base().fit(1) == 10
        assert calls == []
    finally:
        Base.fit = before  # type: ignore[method-assign]


def test_install_that_fails_changes_nothing(around: Any) -> None:
    def put(wrapping: Wrapping) -> None:
        wrapping.method(Base, "fit", around)
        wrapping.method(Base, "absent", around)

    before = Base.fit
    with pytest.raises(AttributeError):
        Wrapping(put).install()
    assert Base.fit is before


def test_error_passes(around: Any) -> None:
    wrapping = Wrapping(lambda wrapping: wrapping.method(Base, "fit", around))
    wrapping.install()
    try:
        with pytest.raises(TypeError, match="unexpected keyword argument 'bogus'"):
            Base().fit(1, bogus=1)  # type: ignore[call-arg]
    finally:
        wrapping.uninstall()


# --- the outermost call ---


class Run:
    """Something that can be left open."""

    in_its_cell = True

    def __init__(self) -> None:
        self.ended: list[tuple[str, str | None]] = []

    def finish(self, status: str = "ok", error: str | None = None) -> None:
        outermost.forget(self)
        self.ended.append((status, error))


def test_outermost_call_is_the_run() -> None:
    with Entry() as first:
        assert outermost.may_begin()
        run = Run()
        outermost.opened(run)
        assert not outermost.may_begin()
        with Entry() as second:
            assert not outermost.may_begin()
        assert run.ended == []
    assert (first, second) == (True, False)
    assert run.ended == [("ok", None)]
    assert outermost.may_begin()


def test_inner_call_of_one_that_is_no_run() -> None:
    """A transformer's fit has no run, and the fits inside it have none either."""
    with Entry(), Entry():
        assert not outermost.may_begin()


def test_wrapped_call_within_a_run_that_has_no_end_of_its_own() -> None:
    """As a fit is that a user's callback makes, in a training whose callback he has passed."""
    outermost.opened(run := Run())
    with Entry() as is_outermost:
        assert not outermost.may_begin()
    assert not is_outermost
    assert run.ended == []
    assert outermost.may_begin()  # the next training without a wrapped call: this one has failed
    assert run.ended == [("error", None)]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "error"), (KeyboardInterrupt, "interrupted")]
)
def test_left_open_by_an_error(error: type[BaseException], status: str) -> None:
    run = Run()

    def fails() -> None:
        with Entry():
            outermost.opened(run)
            raise error

    with pytest.raises(error):
        fails()
    assert run.ended == [(status, error.__name__)]


def test_threads_are_apart() -> None:
    found: list[bool] = []
    with Entry():
        outermost.opened(run := Run())
        thread = threading.Thread(target=lambda: found.append(outermost.may_begin()))
        thread.start()
        thread.join()
    assert found == [True]
    assert run.ended == [("ok", None)]


def test_pool_belongs_to_the_call_that_made_it() -> None:
    def in_a_pool(ask: Callable[[], bool]) -> bool:
        with ThreadPool(1) as pool:
            return pool.apply(ask)

    with Entry():
        assert not in_a_pool(outermost.may_begin)
        assert not in_a_pool(lambda: in_a_pool(outermost.may_begin))
    assert in_a_pool(outermost.may_begin)


# --- callbacks ---


def test_guarded_lets_interrupts_through() -> None:
    @guarded
    def fails(error: type[BaseException]) -> int:
        raise error

    assert fails(ValueError) is None
    with pytest.raises(KeyboardInterrupt):
        fails(KeyboardInterrupt)


@pytest.mark.parametrize("direction", ["up", {"loss": "down"}, 1])
def test_bad_direction(direction: Any) -> None:
    with pytest.raises(MetricError, match="'higher' or 'lower'"):
        checked(direction)


def test_pace() -> None:
    """The first ones are all due, and then not each; all of one step are treated alike."""
    pace = Pace()
    assert all(pace.is_due(step) for step in range(PLENTY))
    assert pace.is_due(PLENTY - 1)
    assert not pace.is_due(PLENTY)


def test_copies_have_not_begun() -> None:
    """Frameworks copy callbacks for each fit, and send them to other processes."""
    pytest.importorskip("xgboost")
    from jupyter_green.integrations.xgboost import EnergyCallback

    callback = EnergyCallback("named", {"odd": "lower"})
    callback._run = threading.Lock()  # type: ignore[assignment]  # as little to be copied as a run
    for copied in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert type(copied) is EnergyCallback
        assert (copied._name, copied._direction) == ("named", {"odd": "lower"})
        assert copied._run is None
