"""Main effects of a factorial design: known effects come back, and odd rows lose nothing."""

from __future__ import annotations

import math
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_green.errors import MetricError, SettingError, StatisticsError
from jupyter_green.insight.factorial_front import Cell, front, returns, smallest_within
from jupyter_green.insight.statistics import welch
from jupyter_green.report.studies.factorial import DECIDES
from jupyter_green.studies.factorial import Effects, main_effects

FACTORS = ["conv", "linear", "relu"]
Row = dict[str, Any]


def row(conv: object, energy_j: object, accuracy: object = 0.8, **more: object) -> Row:
    return {"conv": conv, "energy_j": energy_j, "accuracy": accuracy, **more}


def designed(repeats: int = 6, noise: float = 0.001) -> list[Row]:
    """Conv doubles energy, linear adds a tenth, relu does nothing; conv adds 2 points."""
    source = random.Random(1)
    return [
        {
            "conv": conv,
            "linear": linear,
            "relu": relu,
            "energy_j": 100.0
            * (2 if conv == 4 else 1)
            * (1.1 if linear == 7 else 1)
            * source.gauss(1, noise),
            "accuracy": 0.8 + (0.02 if conv == 4 else 0) + source.gauss(0, noise),
            "duration_s": 10.0 * (1.5 if conv == 4 else 1) * source.gauss(1, noise),
        }
        for conv, linear, relu, _ in product((1, 4), (3, 7), (False, True), range(repeats))
    ]


def change(effects: Effects, factor: str, response: Any = "energy") -> Any:
    (only,) = effects.of(factor, response).changes
    return only


# --- known effects ------------------------------------------------------------------------


def test_known_effects_come_back() -> None:
    effects = main_effects(designed(), FACTORS, metric="accuracy", duration="duration_s")

    assert change(effects, "conv").percent == pytest.approx(100, abs=0.3)
    assert change(effects, "linear").percent == pytest.approx(10, abs=0.3)
    assert change(effects, "relu").percent == pytest.approx(0, abs=0.3)
    assert change(effects, "conv", "time").percent == pytest.approx(50, abs=0.3)
    assert change(effects, "conv", "time").difference == pytest.approx(5, abs=0.05)
    assert change(effects, "conv", "metric").difference == pytest.approx(0.02, abs=0.001)
    assert change(effects, "conv").contrast.found
    assert not change(effects, "relu").contrast.found
    low, high = change(effects, "conv").percent_interval
    assert low < 100 < high
    assert [note for note in effects.notes if note != DECIDES] == []


def test_intervals_are_welchs_and_fiellers_of_the_pooled_rows() -> None:
    rows = designed()
    sides = [[one["energy_j"] for one in rows if one["linear"] == level] for level in (3, 7)]
    expected, found = welch(*sides), change(main_effects(rows, FACTORS), "linear")

    assert found.interval == (expected.low, expected.high)
    assert expected.ratio_low is not None
    assert expected.ratio_high is not None
    assert found.percent_interval == pytest.approx(
        (100 * (expected.ratio_low - 1), 100 * (expected.ratio_high - 1))
    )


@pytest.mark.parametrize("factor", FACTORS)
def test_ranks_are_those_of_scipy(factor: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    rows = designed()
    for one in rows:
        one["energy_j"] = round(one["energy_j"])  # with ties
    levels = sorted({one[factor] for one in rows})
    groups = [[one["energy_j"] for one in rows if one[factor] == level] for level in levels]
    h, p = stats.kruskal(*groups)
    ranks = main_effects(rows, FACTORS).of(factor).ranks

    assert ranks is not None
    assert (ranks.h, ranks.p) == pytest.approx((h, p))
    assert ranks.eta_squared == pytest.approx((h - 1) / (len(rows) - 2))


def test_two_groups_that_do_not_overlap_have_an_eta_squared_of_three_quarters() -> None:
    rows = [row(level, 100.0 * level + n) for level in (1, 2) for n in range(50)]
    ranks = main_effects(rows, "conv").of("conv").ranks

    assert ranks is not None
    assert ranks.eta_squared == pytest.approx(0.75, abs=0.01)


def test_more_levels_are_compared_with_the_first() -> None:
    rows = [row(level, 10.0 * level + n) for level in (8, 2, 4) for n in (-0.1, 0.0, 0.1)]
    changes = main_effects(rows, "conv").of("conv").changes

    assert [(one.first, one.level) for one in changes] == [(2, 4), (2, 8)]
    assert [one.percent for one in changes] == pytest.approx([100, 300])
    assert all(one.contrast is not None and one.contrast.pairs == 2 for one in changes)


def test_texts_are_levels_in_the_order_in_which_they_come() -> None:
    rows = [row(level, 10.0 + n) for level in ("relu", "none", "gelu") for n in range(2)]

    assert main_effects(rows, "conv").design.levels == (("relu", "none", "gelu"),)


# --- words --------------------------------------------------------------------------------


def test_a_sentence_a_factor() -> None:
    sentences = main_effects(designed(), FACTORS, metric="accuracy").sentences

    assert len(sentences) == 3
    assert sentences[0].startswith("conv 1 -> 4: +99.9 % energy (95 % interval +9")
    assert sentences[0].endswith(" points")
    assert "accuracy +" in sentences[0]
    assert sentences[2].count("not told from chance") == 2


def test_an_interval_without_0_beside_no_finding_says_why() -> None:
    """The interval is of this pair alone, and the test is corrected for all pairs."""
    rows = [
        {"a": a, "b": b, "c": c, "energy_j": 10 + 2 * b + (a * 7 + c * 5 + b * 3 + a * b * 2) % 6}
        for a in range(3)
        for b in range(2)
        for c in range(3)
    ]
    effects = main_effects(rows, ["a", "b", "c"])
    found = change(effects, "b")
    low, _ = found.interval

    assert low > 0
    assert not found.contrast.found
    assert "; of this pair alone: among 5 it may be chance)" in effects.sentences[2]
    assert "not told from chance" not in effects.sentences[2]
    assert effects.notes[-1] == DECIDES


def test_such_an_interval_is_explained_also_where_ranks_agree() -> None:
    energies = iter((8, 6, 7, 5, 3, 1, 8, 11, 8, 2, 8, 11))
    rows = [
        {"a": a, "b": b, "energy_j": float(next(energies))}
        for a in range(3)
        for b in range(2)
        for _ in range(2)
    ]
    effects = main_effects(rows, ["a", "b"])

    assert effects.sentences[2].endswith("; of this pair alone: among 3 it may be chance)")
    assert all(one.ranks is not None and one.ranks.p > 0.05 for one in effects.effects)
    assert effects.notes == (DECIDES,)


def test_ranks_that_say_otherwise_are_explained() -> None:
    """Of four values a side the p of ranks may be below 0.05, where nothing is told from chance."""
    rows = [row(level, e) for level, own in ((1, (1, 2, 3, 4)), (2, (5, 6, 7, 90))) for e in own]
    effects = main_effects(rows, "conv")
    ranks = effects.of("conv").ranks

    assert ranks is not None
    assert ranks.p < 0.05
    assert effects.sentences[0].endswith("not told from chance)")
    assert effects.notes == (DECIDES,)
    clear = [row(level, 10.0 * level + n / 10) for level in (1, 2) for n in range(6)]
    assert main_effects(clear, "conv").notes == ()


def test_an_eta_squared_below_0_is_shown_as_0_and_kept_in_the_frame() -> None:
    effects = main_effects([row(n % 2, e) for n, e in enumerate((1.0, 2.0, 3.0, 2.5, 2.0))], "conv")
    raw = effects.dataframe()["eta_squared"][0]
    (line,) = (
        line for line in repr(effects).splitlines() if line.startswith("conv 0 -> 1  energy")
    )

    assert raw < -0.1
    assert line.split()[-1] == "0"


def test_a_whole_text_has_table_and_front() -> None:
    told = repr(main_effects(designed(), FACTORS, metric="accuracy"))

    assert told.startswith("main effects: conv {1, 4} x linear {3, 7} x relu {False, True}, 48 run")
    assert "Eta squared" in told
    assert "J a point" in told
    assert "modelled" not in told


@pytest.mark.parametrize(
    ("modelled", "provenance", "said"),
    [
        (True, "measured", True),
        (False, "modelled", False),
        (None, "modelled", True),
        (None, "measured, modelled", True),
        (None, "measured", False),
    ],
)
def test_modelled_energy_is_called_so(modelled: bool | None, provenance: str, said: bool) -> None:
    rows = [{**one, "provenance": provenance} for one in designed()]
    effects = main_effects(rows, FACTORS, modelled=modelled)

    assert effects.modelled is said
    assert all(("% modelled energy" in one) is said for one in effects.sentences)
    # And once, what follows from that.
    assert repr(effects).count("no saving in energy") == said
    assert any("modelled" in note for note in effects.notes) is said
    assert set(effects.dataframe()["modelled"]) == {said}


def test_hostile_names_and_levels_are_made_inert() -> None:
    name, level = "\x1b[31mconv\n", "a\u202eb\x07" + "x" * 5000
    rows = [{name: one, "energy_j": 1.0 + n} for one in (level, "b") for n in range(3)]
    effects = main_effects(rows, [name])

    assert not any(bad in repr(effects) for bad in "\x1b\x07\u202e")
    assert len(repr(effects)) < 2500


def test_a_frame_with_a_row_for_each_factor_and_response() -> None:
    frame = main_effects(designed(), FACTORS, metric="accuracy").dataframe()

    assert list(frame["factor"]) == FACTORS * 2
    assert list(frame["column"]) == ["energy_j"] * 3 + ["accuracy"] * 3
    assert frame["runs"].tolist() == [24] * 6
    assert frame["percent"][0] == pytest.approx(100, abs=0.3)


# --- forms of rows ------------------------------------------------------------------------


def test_mappings_a_frame_and_a_file_are_the_same(tmp_path: Path) -> None:
    rows = designed()
    frame, path = pd.DataFrame(rows), tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    expected = main_effects(rows, FACTORS, metric="accuracy").dataframe()

    for form in (frame, iter(rows), frame.convert_dtypes()):
        found = main_effects(form, FACTORS, metric="accuracy").dataframe()
        pd.testing.assert_frame_equal(found, expected)
    read = main_effects(path, ["conv", "linear"], metric="accuracy").dataframe()
    assert list(read["percent"][:2]) == pytest.approx(list(expected["percent"][:2]))
    assert list(main_effects(str(path), "relu").design.levels[0]) == ["False", "True"]


def test_fields_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(
        "\ufeffkernel, reg ,energy_j\n3_3,none,1\n3_3,l2,NaN\n\n5,none,2\n5,l2,\n5,,7\n",
        encoding="utf-8",
    )
    design = main_effects(path, ["kernel", "reg"]).design

    assert design.levels == (("3_3", 5), ("none", "l2"))
    assert design.left_out == {"energy_j": 2, "reg": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,a\n1,2\n", "two columns 'a'"),
        (b"conv,energy_j\n1,2,3\n", "line 2 .* has 3 fields, and the header 2"),
        (b"conv,energy_j\n\xff\xfe,2\n", "cannot be read as CSV"),
        (b"conv;energy_j\n1;2\n", "there are: conv;energy_j"),
        (b"conv,energy_j\n1,much\n", "row 1: energy_j must be a number"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=said):
        main_effects(path, "conv")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"absent\.csv cannot be read"):
        main_effects(tmp_path / "absent.csv", "conv")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    with pytest.raises(StatisticsError, match="there is no row"):
        main_effects(tmp_path / "empty.csv", "conv")


# --- odd rows -----------------------------------------------------------------------------


@pytest.mark.parametrize("absent", [None, math.nan, math.inf, np.float64("nan"), pd.NA])
def test_what_is_missing_is_left_out_of_its_own_mean_and_counted(absent: object) -> None:
    rows = [row(level, 10.0 * level, 0.5) for level in (1, 2) for _ in range(3)]
    rows += [row(2, absent, 0.9), row(1, 10.0, absent)]
    effects = main_effects(rows, "conv", metric="accuracy")

    assert change(effects, "conv").percent == 100
    assert change(effects, "conv", "metric").difference == pytest.approx(0.1)
    assert effects.design.left_out == {"energy_j": 1, "accuracy": 1}
    assert "1 row without a finite value of energy_j: left out" in effects.notes


def test_rows_without_a_level_are_left_out() -> None:
    rows = [row(level, 1.0 + n) for level in (1, 2, None, math.nan) for n in range(2)]
    effects = main_effects(rows, "conv")

    assert effects.design.levels == ((1, 2),)
    assert effects.notes[0] == "4 rows without a level of conv: left out"


def test_missing_cells_are_named_and_said_to_unbalance_the_design() -> None:
    rows = [one for one in designed() if (one["conv"], one["linear"]) != (4, 7)]
    effects = main_effects(rows, ["conv", "linear"])

    assert effects.design.missing == ((4, 7),)
    assert effects.notes[0] == "1 cell of the design without a run: conv 4, linear 7"
    assert "not balanced" in effects.notes[1]


def test_many_missing_cells_are_counted() -> None:
    rows = [{"a": n, "b": n, "c": n, "energy_j": 1.0} for n in range(100)]
    effects = main_effects(rows, ["a", "b", "c"])

    assert effects.design.missing_count == 100**3 - 100
    assert "and 999,892 more" in effects.notes[0]
    assert len(repr(effects.notes)) < 1000


def test_cells_of_different_size_unbalance_the_design() -> None:
    rows = designed()
    rows[0]["energy_j"] = None

    assert any("not balanced" in note for note in main_effects(rows, FACTORS).notes)


def test_one_row_a_cell() -> None:
    effects = main_effects(designed(repeats=1), FACTORS)

    assert change(effects, "conv").percent_interval is not None
    assert any("one run a cell" in note for note in effects.notes)


def test_one_row_a_level_has_a_change_and_no_interval() -> None:
    effects = main_effects([row(1, 10.0), row(2, 15.0)], "conv")
    only = change(effects, "conv")

    assert (only.percent, only.interval, only.percent_interval) == (50, None, None)
    assert effects.of("conv").ranks is None
    assert "no interval" in effects.sentences[0]
    assert " -" in repr(effects)


def test_a_level_without_any_energy() -> None:
    rows = [row(1, 10.0), row(1, 11.0), row(2, None), row(2, math.nan)]
    effects = main_effects(rows, "conv", metric="accuracy")

    assert change(effects, "conv").percent is None
    assert effects.sentences[0].startswith("conv 1 -> 2: energy not known, accuracy 0 points")
    assert [cell.levels for cell in effects.front()] == [(1,)]
    assert repr(effects)
    assert math.isnan(effects.dataframe()["percent"].astype(float)[0])


def test_all_energies_alike() -> None:
    effects = main_effects([row(level, 10.0) for level in (1, 2) for _ in range(5)], "conv")
    ranks = effects.of("conv").ranks

    assert change(effects, "conv").percent == 0
    assert ranks is not None
    assert (ranks.h, ranks.p) == (0, 1)
    assert effects.sentences[0].endswith("(all runs of a level alike; not told from chance)")


def test_the_largest_and_smallest_figures_have_an_answer() -> None:
    rows = [row(level, energy_j) for level, energy_j in ((1, 5e-324), (2, 1e150), (2, 2e150))]
    effects = main_effects(rows, "conv", metric="accuracy")

    assert change(effects, "conv").percent is None
    assert effects.design.left_out == {"energy_j": 1}
    assert repr(effects)


def test_as_html_and_markdown_names_are_inert() -> None:
    hostile = "<b>x</b>|`y`"
    rows = [{hostile: n % 2, "energy_j": 1.0 + n, "accuracy": 0.5 + n / 10} for n in range(4)]
    effects = main_effects(rows, hostile, metric="accuracy")
    page, text = effects._repr_html_(), effects.markdown()
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page
    assert "<script" not in page
    assert "+50 %" in page
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "Eta squared" in text


def test_a_factor_with_a_level_for_each_run_is_shown_in_part() -> None:
    effects = main_effects([row(n, 1.0 + n) for n in range(300)], "conv")

    assert repr(effects).count("and 259 more: see .dataframe()") == 2
    assert len(repr(effects).splitlines()) < 100
    assert len(effects.dataframe()) == 299


def test_no_percentage_of_nothing() -> None:
    rows = [row(level, energy_j) for level, energy_j in ((1, 0), (1, 0), (2, 5), (2, 6))]
    effects = main_effects(rows, "conv")

    assert change(effects, "conv").percent is None
    assert change(effects, "conv").difference == 5.5
    assert effects.sentences == ("conv 1 -> 2: energy from 0 J to 5.5 J",)


@pytest.mark.parametrize(
    ("rows", "more", "error", "said"),
    [
        ([row(1, 2.0)] * 4, {}, StatisticsError, "conv has one level only, 1, in 4 rows"),
        ([row(None, 2.0)] * 4, {}, StatisticsError, "no row has a level of every factor"),
        ([row(1, None), row(2, None)], {}, StatisticsError, "no usable row has an energy"),
        ([], {}, StatisticsError, "there is no row"),
        ([row(1, -2.0)], {}, SettingError, "row 1: energy_j is -2, below 0"),
        ([row(1, "2")], {}, SettingError, "row 1: energy_j must be a number"),
        ([row([1], 2.0)], {}, SettingError, "row 1: a level of conv must be a number or a text"),
        ([row(1, 2.0), 7], {}, SettingError, "row 2 must be a mapping"),
        (row(1, 2.0), {}, SettingError, "rows must be a pandas DataFrame"),
        (3, {}, SettingError, "rows must be a pandas DataFrame"),
        ([row(1, 2.0)], {"factors": "cnov"}, SettingError, "there are: conv, energy_j, accuracy"),
        ([row(1, 2.0)], {"energy": "joules"}, SettingError, "no column 'joules'"),
        ([row(1, 2.0)], {"metric": "f1"}, SettingError, "no column 'f1'"),
        ([row(1, 2.0)], {"factors": []}, SettingError, "one factor at least"),
        ([row(1, 2.0)], {"factors": 3}, SettingError, "factors must be names of columns"),
        ([row(1, 2.0)], {"factors": ["conv", "conv"]}, SettingError, "'conv' is given twice"),
        ([row(1, 2.0)], {"metric": "energy_j"}, SettingError, "'energy_j' is given twice"),
        ([row(1, 2.0)], {"direction": "up"}, MetricError, "direction must be"),
        ([row(1, 2.0)], {"modelled": "yes"}, SettingError, "modelled must be"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, SettingError, "have one name"),
    ],
)
def test_what_cannot_be_meant(
    rows: Any, more: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        main_effects(rows, **{"factors": "conv", **more})


def test_effects_that_there_are_not() -> None:
    with pytest.raises(SettingError, match="there are: conv on energy"):
        main_effects([row(1, 1.0), row(2, 2.0)], "conv").of("conv", "time")


# --- front --------------------------------------------------------------------------------

values = st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]) | st.floats(0, 1)
cells_of_any_kind = st.lists(st.tuples(values, values), max_size=30).map(
    lambda pairs: [Cell((place,), 1, *pair) for place, pair in enumerate(pairs)]
)


def beats(one: Cell, other: Cell, lower: bool) -> bool:
    metric = other.metric - one.metric if lower else one.metric - other.metric
    saved = other.energy_j - one.energy_j
    return metric >= 0 and saved >= 0 and (metric > 0 or saved > 0)


@given(cells_of_any_kind, st.booleans())
def test_the_front_is_all_that_is_not_beaten(cells: list[Cell], lower: bool) -> None:
    kept = front(cells, lower)

    assert set(kept) == {
        cell for cell in cells if not any(beats(other, cell, lower) for other in cells)
    }
    assert list(kept) == sorted(kept, key=lambda cell: cell.energy_j)


@given(cells_of_any_kind, st.booleans())
def test_each_step_along_the_front_costs_and_pays(cells: list[Cell], lower: bool) -> None:
    steps = returns(cells, lower, 0.01)

    assert all(step.energy_j > 0 and step.points > 0 for step in steps)
    assert all(step.j_per_point == step.energy_j / step.points for step in steps)
    assert sum(step.energy_j for step in steps) == pytest.approx(
        max((cell.energy_j for cell in front(cells, lower)), default=0)
        - min((cell.energy_j for cell in front(cells, lower)), default=0)
    )


@given(cells_of_any_kind.filter(bool), st.floats(0, 50), st.booleans())
def test_the_smallest_near_the_best(cells: list[Cell], points: float, lower: bool) -> None:
    chosen = smallest_within(cells, points, lower, 0.01)
    best = min(cell.metric for cell in cells) if lower else max(cell.metric for cell in cells)

    assert abs(chosen.metric - best) <= 0.01 * points + 1e-9
    for cell in cells:
        if abs(cell.metric - best) <= 0.01 * points:
            assert chosen.energy_j <= cell.energy_j


def sized() -> Effects:
    """Three sizes: the largest costs nine times the smallest for 10 points and half a point."""
    means = {1: (100.0, 0.80), 2: (300.0, 0.90), 3: (900.0, 0.905), 4: (950.0, 0.85)}
    rows = [row(size, *figures) for size, figures in means.items() for _ in range(2)]
    return main_effects(rows, "conv", metric="accuracy")


def test_diminishing_returns_across_sizes() -> None:
    effects = sized()

    assert [cell.levels for cell in effects.front()] == [(1,), (2,), (3,)]
    assert [step.j_per_point for step in effects.returns()] == pytest.approx([20, 1200])
    assert effects.smallest_within(0).levels == (3,)
    assert effects.smallest_within(0.5).levels == (2,)
    assert effects.smallest_within(1).levels == (2,)
    assert effects.smallest_within(10.5).levels == (1,)
    assert "conv 3: 900 J, 0.905, 1.2 kJ a point" in repr(effects)


def test_cells_and_steps_show_their_units() -> None:
    effects = sized()
    first, second = effects.front()[:2]
    step = effects.returns()[0]

    assert repr(first) == "<Cell 1: 100 J, metric 0.8, 2 runs>"
    assert repr(step) == f"<Return 10 points for 200 J, 20 J a point: {first!r} -> {second!r}>"
    assert effects.told(first) == "conv 1: 100 J, accuracy 0.8"
    assert effects.told(step) == "conv 1 -> conv 2: +10 points for 200 J, 20 J a point"
    evil = Cell(("\x1b[31m\u202e" + "x" * 5000,), 1, 1.0, 1.0)
    assert not any(bad in repr(evil) for bad in "\x1b\u202e")
    assert len(repr(evil)) < 300
    with pytest.raises(SettingError, match=r"told\(\) takes a cell, .*it is 3 \(int\)"):
        effects.told(3)  # type: ignore[arg-type]


def test_cells_and_steps_of_modelled_energy_say_so() -> None:
    rows = [row(size, e, loss=loss) for size, e, loss in ((1, 1.0, 0.9), (2, 3.0, 0.4))] * 2
    effects = main_effects(rows, "conv", metric="loss", modelled=True)

    assert effects.told(effects.front()[0]) == "conv 1: 1 J (modelled), loss 0.9"
    assert effects.told(effects.returns()[0]) == (
        "conv 1 -> conv 2: -0.5 loss for 2 J (modelled), 4 J (modelled) for each 1 of loss"
    )


def test_where_lower_is_better_points_are_the_metrics_own() -> None:
    rows = [row(size, e, loss=loss) for size, e, loss in ((1, 1.0, 0.9), (2, 3.0, 0.4))] * 2
    effects = main_effects(rows, "conv", metric="loss")

    assert [step.j_per_point for step in effects.returns()] == pytest.approx([4])
    assert effects.smallest_within(0.5).levels == (1,)
    assert effects.smallest_within(0.49).levels == (2,)


def test_a_front_needs_a_metric_and_its_direction() -> None:
    rows = [row(size, float(size), zork=1.0) for size in (1, 2)]
    with pytest.raises(MetricError, match="give main_effects\\(\\) a metric"):
        main_effects(rows, "conv").front()
    with pytest.raises(MetricError, match="nobody knows which 'zork' is better"):
        main_effects(rows, "conv", metric="zork").returns()
    assert len(main_effects(rows, "conv", metric="zork", direction="lower").front()) == 1


@pytest.mark.parametrize("points", [-1, math.nan, "1", None])
def test_points_that_cannot_be_meant(points: Any) -> None:
    with pytest.raises(SettingError, match="points must be"):
        sized().smallest_within(points)


def test_no_cell_with_both_figures() -> None:
    rows = [row(1, 1.0, None), row(2, None, 0.5)]
    effects = main_effects(rows, "conv", metric="accuracy")

    assert effects.front() == effects.returns() == ()
    assert repr(effects)
    with pytest.raises(StatisticsError, match="no cell has both"):
        effects.smallest_within(1)
