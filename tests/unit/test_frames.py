"""Sessions as data frames: units in the names, missing stays missing, sums are the fold's."""

import math
import subprocess
import sys

import pandas as pd
import pytest
from msgspec import structs

from jupyter_green.events import CellStarted, Pricing
from jupyter_green.sessions import frames
from jupyter_green.sessions.model import Session
from tests.simulators.story import DRAM, EVERY, PACKAGE, Story, hostile, training


@pytest.fixture(scope="module")
def session() -> Session:
    return training()


def nothing() -> Session:
    return Story().session()


def test_cells_hold_the_folds_figures(session: Session) -> None:
    frame = frames.cells(session)

    assert list(frame["number"]) == [cell.number for cell in session.cells] == [1, 2, 3, 4]
    assert list(frame["energy_j"]) == pytest.approx([12.0, 60.0, 120.0, 24.0])
    assert list(frame["package-0_j"]) == pytest.approx([10.0, 50.0, 100.0, 20.0])
    assert list(frame["core-0_j"]) == pytest.approx([7.0, 35.0, 70.0, 14.0])
    assert list(frame["duration_s"]) == pytest.approx([1.0, 5.0, 10.0, 2.0])
    assert list(frame["power_w"]) == pytest.approx([12.0] * 4)
    assert list(frame["bound_j"]) == [cell.energy.bound_j for cell in session.cells]
    assert min(frame["bound_j"]) > 0


def test_categories_add_up_to_the_ledger(session: Session) -> None:
    sums = frames.cells(session).groupby("category")["energy_j"].sum()

    for name in ("productive", "superseded", "failed"):
        assert sums[name] == pytest.approx(session.ledger.entries[name].total_uj / 1e6)


def test_cells_tell_status_reruns_and_last_metric(session: Session) -> None:
    frame = frames.cells(session)

    assert list(frame["status"]) == ["ok", "ok", "ok", "error"]
    assert frame["error"].isna().tolist() == [True, True, True, False]
    assert list(frame["label"]) == ["import torch", "mlp 64", "mlp 64", "1 / 0"]
    assert list(frame["first_line"]) == ["import torch", "fit(model)", "fit(model)", "1 / 0"]
    assert list(frame["reruns"]) == [0, 0, 1, 0]
    assert frame["metric"].fillna("").tolist() == ["", "acc", "acc", ""]
    assert frame["metric_value"].tolist()[1:3] == [0.9, 0.9]
    assert math.isnan(frame["metric_value"][0])
    assert frame["co2_g"].sum() == pytest.approx(216 / 3.6e6 * 44.0)


def test_another_label_is_no_rerun() -> None:
    story = Story()
    for label in ("a", "b", "a"):
        story.cell("fit()", label=label)

    assert list(frames.cells(story.session())["reruns"]) == [0, 0, 1]


def test_missing_is_never_zero() -> None:
    story = Story(unread=EVERY)
    story.cell("nothing is read")
    story.unread = {"dram-0"}
    story.cell("a part is read")
    frame = frames.cells(story.session())

    assert frame["energy_j"].isna().tolist() == [True, False]
    assert frame["bound_j"].isna().tolist() == [True, False]
    assert frame["power_w"].isna().tolist() == [True, False]
    assert list(frame["at_least"]) == [True, True]
    assert frame["missing"][1] == "dram-0"
    assert math.isnan(frame["dram-0_j"][1])
    assert frame["energy_j"][1] == pytest.approx(10.0)


def test_without_a_place_there_is_no_co2() -> None:
    assert frames.cells(training(intensity=None, pricing=Pricing()))["co2_g"].isna().all()


def test_nested_cells_come_after_their_parent_and_own_no_time() -> None:
    story = Story()
    outer = story.begin("%%capture")
    inner = story.begin("inside", parent=outer)
    story.sleep(1.0)
    story.end(inner)
    story.end(outer)
    frame = frames.cells(story.session())

    assert list(frame["number"]) == [outer, inner]
    assert frame["category"].isna().tolist() == [False, True]
    assert frame["parent"].fillna(0).tolist() == [0, outer]


def test_spans(session: Session) -> None:
    frame = frames.spans(session)

    assert list(frame["span"]) == [4, 5, 6, 7]
    assert list(frame["name"]) == ["epoch 1", "epoch 2"] * 2
    assert list(frame["cell"]) == [2, 2, 3, 3]
    assert list(frame["energy_j"]) == pytest.approx([30.0, 30.0, 60.0, 60.0])
    assert list(frame["dram-0_j"]) == pytest.approx([5.0, 5.0, 10.0, 10.0])


def test_metrics_stand_beside_the_energy_so_far(session: Session) -> None:
    frame = frames.metrics(session)

    assert list(frame["value"]) == [0.5, 0.9, 0.5, 0.9]
    assert list(frame["cell_j"]) == pytest.approx([30.0, 60.0, 60.0, 120.0])
    assert list(frame["session_j"]) == pytest.approx([90.0, 120.0, 180.0, 240.0])


def test_infinite_metrics_stay_infinite() -> None:
    story = Story()
    story.metric("loss", None, text="inf")
    story.metric("loss", None, text="nan")
    values = frames.metrics(story.session())["value"]

    assert values[0] == math.inf
    assert math.isnan(values[1])


def test_power_is_the_slope_between_stamps(session: Session) -> None:
    frame = frames.power(session)

    assert frame["package-0_w"].to_numpy() == pytest.approx(10.0)
    assert frame["core-0_w"].to_numpy() == pytest.approx(7.0)
    assert frame["total_w"].to_numpy() == pytest.approx(12.0)
    assert (frame["total_w"] * frame["duration_s"]).sum() == pytest.approx(session.total.energy_j)
    assert (frame["duration_s"] > 0).all()


def test_power_is_missing_where_a_reading_is() -> None:
    story = Story()
    story.sleep(1.0)
    story.unread = {"dram-0"}
    story.sleep(1.0)
    story.unread = set()
    story.sleep(1.0)
    frame = frames.power(story.session())

    assert frame["dram-0_w"].isna().tolist() == [False, True, True]
    assert frame["total_w"].tolist() == pytest.approx([12.0, 10.0, 10.0])


def test_power_of_a_counter_that_was_never_read_is_missing() -> None:
    story = Story(unread={"dram-0"})
    story.sleep(1.0)

    assert frames.power(story.session())["dram-0_w"].isna().all()


def test_a_reading_that_came_late_takes_no_power_back() -> None:
    story = Story(PACKAGE)
    for uj, t in ((10_000_000, 1.0), (9_000_000, 2.0), (20_000_000, 3.0)):
        stamp = {**story.stamp(), "uj": {"package-0": uj}, "t": t}
        story.feed(CellStarted(number=int(t), cell="x", thread="thread", **stamp))

    assert frames.power(story.session())["package-0_w"].tolist() == pytest.approx([10.0, 0.0, 10.0])


FRAMES = (frames.cells, frames.spans, frames.metrics, frames.power)


@pytest.mark.parametrize("make", FRAMES, ids=lambda make: make.__name__)
def test_empty_frames_have_the_same_columns_and_types(make, session: Session) -> None:
    empty, full = make(nothing()), make(session)

    assert len(empty) == 0 < len(full)
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


@pytest.mark.parametrize("make", FRAMES, ids=lambda make: make.__name__)
def test_types_do_not_depend_on_what_is_missing(make, session: Session) -> None:
    assert make(hostile()).dtypes.to_dict() == make(session).dtypes.to_dict()


def test_the_session_offers_its_frames(session: Session) -> None:
    pd.testing.assert_frame_equal(session.dataframe(), frames.cells(session))
    pd.testing.assert_frame_equal(session.spans_dataframe(), frames.spans(session))
    pd.testing.assert_frame_equal(session.metrics_dataframe(), frames.metrics(session))
    pd.testing.assert_frame_equal(session.power_dataframe(), frames.power(session))


def test_a_counter_cannot_take_the_place_of_a_column() -> None:
    story = Story(PACKAGE, structs.replace(DRAM, name="energy"), unread={"energy"})
    story.cell("x")
    frame = frames.cells(story.session())

    assert list(frame.columns).count("energy_j") == 1
    assert frame["energy_j"].tolist() == pytest.approx([10.0])


def test_pandas_loads_on_use() -> None:
    code = (
        "import sys; from jupyter_green.sessions import frames;"
        "from jupyter_green.report import text, fragment, summary;"
        "from jupyter_green.report.exports import tabular;"
        "assert not {'pandas', 'numpy', 'IPython'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
