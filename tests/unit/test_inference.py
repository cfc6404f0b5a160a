"""Batches of any size, what may be said of them, and how it looks."""

from __future__ import annotations

import functools
import itertools
import random
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from jupyter_green.errors import MetricError, SettingError
from jupyter_green.insight.inferences import InferenceAt, latencies
from jupyter_green.insight.repeated import Repeated
from jupyter_green.studies import inference, models
from jupyter_green.studies.batches import cut, size_of
from jupyter_green.studies.inference import Inference, measure_inference

ARRAY = np.arange(12).reshape(6, 2)
Pair = namedtuple("Pair", "left right")


# --- batches ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        ([1, 2, 3], 3),
        (ARRAY, 6),
        (pd.DataFrame(ARRAY), 6),
        (pd.Series([1, 2]), 2),
        ((ARRAY, ARRAY[:, 0]), 6),
        ({"x": ARRAY, "deep": {"y": [1] * 6}, "flag": True, "name": "text"}, 6),
        ((ARRAY, np.float64(2), None), 6),
        (Pair(ARRAY, 1), 6),
    ],
)
def test_items_of_a_batch(batch: Any, size: int) -> None:
    assert size_of(batch) == size


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ("a text", "a str does not tell how many items it holds"),
        ((), "a tuple does not tell"),
        (np.float64(1), "does not tell"),
        (object(), "a object does not tell"),
        ((ARRAY, ARRAY[:2]), "hold 2 and 6 items"),
        ([], "the batch is empty"),
    ],
)
def test_batches_that_do_not_tell(batch: Any, words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        size_of(batch)


@pytest.mark.parametrize("size", [1, 4, 6, 15])
def test_cut(size: int) -> None:
    """Rows stay whole and in order, begun again from the first."""
    expected = [[2 * (i % 6), 2 * (i % 6) + 1] for i in range(size)]
    frame = pd.DataFrame(ARRAY, columns=["a", "b"], index=list("uvwxyz"))
    assert cut(ARRAY, size).tolist() == expected
    assert cut(ARRAY.tolist(), size) == expected
    assert cut(frame, size).to_numpy().tolist() == expected
    assert cut(frame["b"], size).tolist() == [row[1] for row in expected]
    named = cut({"x": ARRAY, "deep": (ARRAY.tolist(), "text"), "flag": True}, size)
    assert (named["x"].tolist(), named["deep"]) == (expected, (expected, "text"))
    assert named["flag"] is True
    pair = cut(Pair(ARRAY, 7), size)
    assert (type(pair), pair.left.tolist(), pair.right) == (Pair, expected, 7)


def test_a_smaller_batch_is_no_copy() -> None:
    assert np.shares_memory(cut(ARRAY, 4), ARRAY)
    assert cut(ARRAY, 6) is ARRAY


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(12).reshape(6, 2)
    assert size_of({"x": tensor}) == 6
    assert cut(tensor, 4).data_ptr() == tensor.data_ptr()
    assert cut(tensor, 15)[12:].tolist() == [[0, 1], [2, 3], [4, 5]]


class Stubborn:
    """An array that nobody may take apart."""

    shape = (3,)

    def __getitem__(self, index: object) -> object:
        raise TypeError("no")


def test_what_cannot_be_cut() -> None:
    with pytest.raises(SettingError, match=r"a Stubborn of 3 items cannot be cut to 2 \(TypeError"):
        cut(Stubborn(), 2)


class Loose(Stubborn):
    def __getitem__(self, index: object) -> object:
        return self


def test_what_is_not_cut_although_it_says_so() -> None:
    with pytest.raises(SettingError, match="cut to 2, holds 3"):
        cut(Loose(), 2)


# --- arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("model", ARRAY), {}, "a str cannot be called: pass what makes a prediction"),
        ((len, ARRAY), {"runs": 0}, "runs must be 1 or more, it is 0"),
        ((len, ARRAY), {"runs": 2.5}, "runs must be a whole number, it is 2.5"),
        ((len, ARRAY), {"warmup": 0}, "warmup must be 1 or more"),
        ((len, ARRAY), {"seconds": 0}, "seconds must be above 0"),
        ((len, ARRAY), {"seconds": float("nan")}, "seconds must be a finite number"),
        ((len, ARRAY), {"batch_sizes": []}, "batch_sizes is empty"),
        ((len, ARRAY), {"batch_sizes": [0, 2]}, "a batch size must be 1 or more, it is 0"),
        ((len, ARRAY), {"batch_sizes": 0}, "a batch size must be 1 or more, it is 0"),
        ((len, ARRAY), {"batch_sizes": "8"}, "a batch size must be a whole number, it is '8'"),
        ((len, ARRAY), {"batch_sizes": 2.5}, "a batch size must be a whole number, it is 2.5"),
        ((len, ARRAY), {"seconds": "long"}, "seconds must be a number, it is 'long'"),
        ((len, ARRAY), {"technique": 3}, "technique must be a text"),
        ((len, ARRAY), {"metric": 0.93}, "metric={'accuracy': 0.93}; it is 0.93 (float)"),
        ((len, ARRAY), {"metric": {"accuracy": float("nan")}}, "'accuracy' must be finite"),
        ((len, ARRAY), {"metric": {3: 0.9}}, "the name of a metric must be a text"),
        ((len, ARRAY), {"batch_sizes": ["2"]}, "a batch size must be a whole number"),
        ((len, ARRAY), {"batch_sizes": [1], "items": 2}, "give one of the two"),
        ((len, ARRAY), {"items": -1}, "items must be 1 or more, it is -1"),
        ((len, "text"), {}, "pass items="),
        ((len, "text"), {"batch_sizes": [1]}, "pass items="),
        ((len,), {}, "pass a batch, as measure_inference(model.predict, x); or, "),
        ((len,), {}, "pass items="),
        ((len,), {"batch_sizes": [1]}, "pass a batch"),
    ],
)
def test_arguments_that_make_no_sense(
    arguments: tuple[Any, ...], options: dict[str, Any], words: str
) -> None:
    """They are refused before a session begins."""
    with pytest.raises(SettingError, match=re.escape(words)):
        measure_inference(*arguments, **options)


def test_a_metric_that_is_no_number() -> None:
    with pytest.raises(MetricError, match="accuracy"):
        measure_inference(len, ARRAY, metric={"accuracy": "good"})


def test_one_batch_size_is_a_number() -> None:
    assert inference._sizes(ARRAY, 8, None) == [8]
    assert inference._sizes(ARRAY, np.int64(8), None) == [8]
    assert inference._sizes(ARRAY, np.array([8, 2]), None) == [2, 8]


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (0, "it had not finished any of its 35 runs"),
        (1, "1 of 35 runs was finished and is a span of the session"),
        (2, "2 of 35 runs were finished and are spans of the session"),
    ],
)
def test_what_is_said_of_a_study_that_ends_early(done: int, said: str) -> None:
    assert inference._finished(done, 35) == said


def test_the_view_needs_the_figures_alone() -> None:
    """No circle: whoever imports the view first gets it, and no study."""
    code = (
        "import sys\nimport jupyter_green.report.studies.inferred\n"
        "assert 'jupyter_green.studies.inference' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_does_nothing_yet() -> None:
    async def later() -> None: ...

    def generated() -> Iterator[int]:
        yield 1

    with pytest.raises(SettingError, match="coroutine function"):
        models.check_result(later())
    with pytest.raises(SettingError, match="generator"):
        models.check_result(generated())
    models.check_result([1])


def test_how_a_model_is_called() -> None:
    def model(*args: Any, **named: Any) -> tuple[Any, Any]:
        return args, named

    assert models.calling(model, ARRAY)()[0][0] is ARRAY
    assert models.calling(model, (1, 2))() == ((1, 2), {})
    assert models.calling(model, {"x": 1})() == ((), {"x": 1})
    assert models.calling(model, ({"x": 1},))() == (({"x": 1},), {})
    assert models.calling(model, ())() == ((), {})


def test_names() -> None:
    class Net:
        def predict(self) -> None: ...

        def __call__(self) -> None: ...

    assert models.name_of(Net().predict) == "Net.predict"
    assert models.name_of(Net()) == "Net"
    assert models.name_of(len) == "len"
    assert models.name_of(functools.partial(Net().predict, 1)) == "Net.predict"


def test_the_order_is_by_rounds_and_leaves_the_users_chance_alone() -> None:
    subjects: list[Any] = list("abcd")
    random.seed(1)
    before = random.getstate()
    orders = [list(inference._in_random_order(subjects, 200)) for _ in range(2)]
    assert random.getstate() == before
    assert orders[0] != orders[1]
    for order in orders:
        rounds = [order[i : i + 4] for i in range(0, 800, 4)]
        assert all(sorted(each) == subjects for each in rounds)
        # No place in the round is anybody's own.
        assert {each[0] for each in rounds} == set(subjects)


# --- PyTorch ------------------------------------------------------------------------------


def test_a_module_is_put_back_as_it_was() -> None:
    torch = pytest.importorskip("torch")
    switched = []

    class Merging(torch.nn.Linear):  # type: ignore[misc, name-defined, unused-ignore]
        """As adapters do that fold their weights into the layer for evaluation."""

        def train(self, mode: bool = True) -> Any:
            switched.append(mode)
            return super().train(mode)

    net = torch.nn.Sequential(Merging(2, 2), torch.nn.Dropout(), torch.nn.BatchNorm1d(2))
    net[2].eval()

    def evaluate() -> None:
        with models.evaluating(net):
            assert not any(part.training for part in net.modules())
            assert not torch.is_grad_enabled()
            # What it keeps of a call must still be good for training.
            assert not net(torch.ones(3, 2)).is_inference()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate()
    assert torch.is_grad_enabled()
    assert [part.training for part in net.modules()] == [True, True, True, False]
    assert switched == [False, True]


def test_a_module_in_evaluation_stays_untouched() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 2).eval()
    net.train = None
    with models.evaluating(net):
        assert not torch.is_grad_enabled()
    assert net.training is False


def test_other_callables_keep_their_gradients() -> None:
    torch = pytest.importorskip("torch")
    with models.evaluating(torch.nn.Linear(2, 2).forward):
        assert torch.is_grad_enabled()


# --- figures ------------------------------------------------------------------------------


def at(  # noqa: PLR0913  (a row has that many parts)
    size: int,
    per_item_j: Sequence[float],
    *,
    per_item_s: float = 0.01,
    bound_j: float = 0.0,
    idle_w: float | None = None,
    provenance: str = "measured",
    missing: tuple[str, ...] = (),
    latencies_s: Sequence[float] = (0.01,),
) -> InferenceAt:
    calls = Repeated(
        loops=10,
        energies_j=tuple(size * energy_j for energy_j in per_item_j),
        durations_s=(size * per_item_s,) * len(per_item_j),
        bound_j=size * bound_j,
        idle_w=idle_w,
        missing=missing,
        provenance=(provenance,),
    )
    median_s, p95_s = latencies(latencies_s)
    return InferenceAt(batch_size=size, calls=calls, latency_s=median_s, latency_p95_s=p95_s)


def around(middle_j: float, runs: int = 7) -> list[float]:
    return [middle_j * (1 + 0.002 * (i - runs // 2)) for i in range(runs)]


def study(*rows: InferenceAt, **more: Any) -> Inference:
    return Inference(label=more.pop("label", "net"), rows=rows, **more)


def test_figures_of_a_row() -> None:
    row = at(4, [1.0, 2.0, 3.0], per_item_s=0.5, bound_j=0.1, idle_w=3.0)
    assert (row.energy_per_item_j, row.per_1000_j) == (2.0, 2000.0)
    assert row.deviation_per_item_j == pytest.approx(1.0)
    assert row.bound_per_item_j == pytest.approx(0.1)
    assert (row.net_per_item_j, row.net_per_1000_j) == (0.5, 500.0)
    assert (row.items_per_s, row.power_w, row.duration_per_item_s) == (2.0, 4.0, 0.5)
    assert row.energies_per_item_j == (1.0, 2.0, 3.0)


def test_net_of_idle_is_not_known() -> None:
    assert at(1, [1.0]).net_per_item_j is None
    # Less than a part of the energy, and the idle power of all.
    assert at(1, [1.0], idle_w=3.0, missing=("dram-0",)).net_per_item_j is None


def test_latency() -> None:
    row = at(1, [1.0], latencies_s=[i / 100 for i in range(100, 0, -1)])
    assert row.latency_s == pytest.approx(0.505)
    assert row.latency_p95_s == 0.95
    assert at(1, [1.0], latencies_s=[1.0] * 19).latency_p95_s is None
    assert at(1, [1.0], latencies_s=[1.0] * 19 + [9.0]).latency_p95_s == 1.0


def test_the_best() -> None:
    result = study(at(1, [3.0] * 5), at(8, [1.0] * 5), at(64, [2.0] * 5))
    assert result.best.batch_size == 8
    assert result.at(64).energy_per_item_j == 2.0
    with pytest.raises(KeyError):
        result.at(2)
    # What the counters do not resolve may be anything.
    result = study(at(1, [3.0] * 5), at(8, [1.0] * 5, bound_j=1.0))
    assert result.best.batch_size == 1


def test_the_data_frame() -> None:
    frame = study(
        at(1, [3.0] * 5, idle_w=1.0), at(8, [1.0] * 5), metrics={"accuracy": 0.9}
    ).dataframe()
    assert frame["batch_size"].tolist() == [1, 8]
    assert frame["per_1000_j"].tolist() == [3000.0, 1000.0]
    assert frame["net_per_item_j"].tolist()[0] == pytest.approx(2.99)
    assert frame["net_per_item_j"].isna().tolist() == [False, True]
    assert frame["metric_accuracy"].tolist() == [0.9, 0.9]


# --- the sentence -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [at(1, around(0.0096)), at(64, around(0.0008))],
            "batch 64: 800 mJ per 1000 inferences, 12 times less than batch 1",
        ),
        (
            [at(1, around(0.001)), at(8, around(0.0009)), at(64, around(0.0008))],
            "batch 64: 800 mJ per 1000 inferences, 20 % less than batch 1",
        ),
        # The best is the smallest: it is held against the largest.
        (
            [at(1, around(0.001)), at(64, around(0.003))],
            "batch 1: 1 J per 1000 inferences, 3 times less than batch 64",
        ),
        ([at(64, around(0.0008))], "batch 64: 800 mJ per 1000 inferences"),
        (
            [at(1, around(0.001)), at(64, around(0.000999))],
            "batch 64: 999 mJ per 1000 inferences, which cannot be told apart from batch 1",
        ),
        # The runs are apart, and less than the counters leave open.
        (
            [at(1, around(0.00102), bound_j=1e-5), at(64, around(0.001), bound_j=1e-5)],
            "batch 64: 1 J per 1000 inferences, which cannot be told apart from batch 1",
        ),
        (
            [at(1, [0.0096] * 4), at(64, [0.0008] * 4)],
            "batch 64: 800 mJ per 1000 inferences; batch sizes are compared from 5 runs on",
        ),
        (
            [at(1, around(0.0096), missing=("dram-0",)), at(64, around(0.0008))],
            "dram-0 missing: the joules are lower bounds, and batch sizes are not compared",
        ),
        (
            [at(1, around(0.0096), bound_j=1.0), at(64, around(0.0008), bound_j=1.0)],
            "below resolution: the runs are too short for the counters; give more seconds",
        ),
        # What is not resolved is no part of the comparison.
        (
            [at(1, around(0.0096), bound_j=1.0), at(64, around(0.0008))],
            "batch 64: 800 mJ per 1000 inferences",
        ),
    ],
)
def test_what_is_said(rows: list[InferenceAt], words: str) -> None:
    assert study(*rows).sentence == words


def test_what_is_modelled_says_nothing_of_energy() -> None:
    rows = [
        at(1, around(0.0096), per_item_s=0.01, provenance="modelled"),
        at(64, around(0.0008), per_item_s=0.001, provenance="modelled"),
    ]
    words = study(*rows).sentence
    assert words == (
        "batch 64: 1 s per 1000 inferences, 10 times less than batch 1; the joules are modelled, "
        "and say nothing of energy saved"
    )
    # One modelled counter is enough.
    mixed = replace(rows[0].calls, provenance=("measured", "modelled"))
    assert study(replace(rows[0], calls=mixed), at(64, around(0.0008))).modelled


def test_equal_batch_sizes_are_seldom_told_apart() -> None:
    """Five sizes that cost the same, five runs each: at most 5 % may claim a difference."""
    chance, claims, studies = random.Random(1), 0, 2000
    for _ in range(studies):
        rows = [at(2**i, [chance.gauss(1.0, 0.05) for _ in range(5)]) for i in range(5)]
        claims += " less than " in study(*rows).sentence
    assert claims / studies <= 0.05
    # And where one costs a fifth less, it is found.
    found = 0
    for _ in range(200):
        rows = [at(2**i, [chance.gauss(1 - i / 5, 0.02) for _ in range(5)]) for i in range(2)]
        found += " less than " in study(*rows).sentence
    assert found > 190


# --- the table and the picture ------------------------------------------------------------


def test_the_table() -> None:
    result = study(
        at(1, around(0.0096), bound_j=1e-5, idle_w=0.2, latencies_s=[0.012] * 20),
        at(64, around(0.0008), per_item_s=0.001, bound_j=1e-6),
        metrics={"accuracy": 0.93},
        notes=("a note",),
    )
    assert repr(result).splitlines() == [
        "net · accuracy 0.93 · mean ± std. dev. of 7 runs · measured",
        "",
        "batch  per inference         per 1000  net of idle, per 1000  counters ±  latency    "
        "p95  inferences/s   power",
        "    1         9.6 mJ  9.600 ± 0.042 J                  7.6 J       0.1 %    12 ms  "
        "12 ms           100  0.96 W",
        "   64         800 µJ   800.0 ± 3.5 mJ                      -      0.12 %    10 ms      "
        "-         1,000   0.8 W",
        "",
        "batch 64: 800 mJ per 1000 inferences, 12 times less than batch 1",
        "a note",
    ]


def test_what_the_table_says_of_bad_figures() -> None:
    text = repr(study(at(1, [1.0], bound_j=1.0, idle_w=1.0), at(2, [1.0], missing=("dram-0",))))
    assert "below resolution" in text.splitlines()[3]
    assert "≥ 1 kJ" in text.splitlines()[4]
    assert "±" not in text.splitlines()[3]


HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e&" + "x" * 10_000


def test_hostile_names() -> None:
    result = study(
        at(1, around(0.002)),
        at(64, around(0.001)),
        label=HOSTILE,
        metrics={HOSTILE: 1.0},
        notes=(HOSTILE,),
    )
    html = result._repr_html_()
    assert "<script" not in html
    for text in (html, repr(result)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text) < 8000


def points(html: str) -> list[tuple[float, float]]:
    """Of the line, which is drawn in well-formed markup."""
    (svg,) = re.findall(r"<svg.*</svg>", html)
    (line,) = ElementTree.fromstring(svg).iter("polyline")
    numbers = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    return [(x, y) for x, y in numbers]


def test_the_picture_is_logarithmic() -> None:
    result = study(*(at(4**i, around(0.01 / 4**i)) for i in range(4)))
    found = points(result._repr_html_())
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(found)]
    assert len(steps) == 3
    # Half the joules lie lower, and equal factors are equal distances.
    assert all(dx > 0 and dy > 0 for dx, dy in steps)
    assert steps == [pytest.approx(steps[0], abs=0.2)] * 3


def test_the_picture_holds_all_its_points() -> None:
    for values in ([1.0, 1.0], [1e-9, 1e3], [0.99, 1.01], [2.0, 1.0], [9.99e-4, 1e-3]):
        rows = [at(2**i, around(value)) for i, value in enumerate(values)]
        for x, y in points(study(*rows)._repr_html_()):
            assert 0 < x < 420
            assert 0 < y < 200


def test_no_picture_without_two_points() -> None:
    assert "<svg" not in study(at(1, around(0.01)))._repr_html_()
    assert "<svg" not in study(at(1, around(0.01)), at(2, [0.0] * 5))._repr_html_()


def test_nothing_heavy_is_imported() -> None:
    """Neither the study nor cutting needs any package of models."""
    code = (
        "import sys\nfrom jupyter_green.studies.inference import measure_inference\n"
        "from jupyter_green.studies.batches import cut\n"
        "assert cut([1, 2], 5) == [1, 2, 1, 2, 1]\n"
        "found = {'numpy', 'pandas', 'torch', 'altair'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
