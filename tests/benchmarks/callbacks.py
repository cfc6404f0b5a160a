"""What our callbacks add to a training: many quick rounds, some epochs, one small fit."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Worker
from tests.benchmarks.subjects import NOTHING, OURS
from tests.benchmarks.worker import Inside

HERE = "tests.benchmarks.callbacks"
ROUNDS, EPOCHS, FITS = 1000, 40, 20
TRAININGS = {
    # Package and name: what is trained, and what it has many of.
    "lightgbm": (f"LightGBM, {ROUNDS} rounds with a validation set", "round", ROUNDS),
    "xgboost": (f"XGBoost, {ROUNDS} rounds with a validation set", "round", ROUNDS),
    "keras": (f"Keras, {EPOCHS} epochs of 8 batches with validation", "epoch", EPOCHS),
    "sklearn": (f"scikit-learn, {FITS} fits of half a millisecond", "fit", FITS),
}
REST_S = 0.3
"""Before each: what the recorder has still to write of the last is none of the next one's."""
TURNS = "One process; with and without autolog take turns, each first in turn. One thread."
ADDED = "Both by the number of rounds, epochs or fits."


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours against nothing, for each framework that is installed."""
    table = Table("Callbacks: metrics that come by themselves", reference=NOTHING)
    present = [name for name in TRAININGS if importlib.util.find_spec(name) is not None]
    for name in present if OURS in names else []:
        with Worker(where, OURS) as worker:
            for number in range(effort.rounds + 1):
                told = worker.ask("train", module=HERE, name=name, first=number % 2 == 0)
                if number:
                    _add(table, name, told)
    return table


def _add(table: Table, name: str, told: dict[str, float]) -> None:
    title, part, count = TRAININGS[name]
    turns, added = table.note(TURNS), table.note(ADDED)
    for tool, seconds in ((NOTHING, told["without_s"]), (OURS, told["with_s"])):
        table.add(title, tool, seconds * 1e3, "ms", note=turns)
        table.add(f"{name}: one {part}", tool, seconds / count * 1e6, "us", note=added)


# --- inside the worker ---


def train(inside: Inside, name: str, first: bool) -> dict[str, float]:
    """Seconds of one training without and with autolog; ``first``: with it first."""
    once = MAKERS[name]()
    once()
    took = {with_ours: _timed(once, name, with_ours) for with_ours in (first, not first)}
    return {"without_s": took[False], "with_s": took[True]}


def _timed(once: Callable[[], object], name: str, with_ours: bool) -> float:
    from jupyter_green.integrations import autolog

    if with_ours:
        autolog(name)
    time.sleep(REST_S)
    began = time.perf_counter()
    once()
    took_s = time.perf_counter() - began
    autolog(off=True)
    return took_s


def _lightgbm() -> Callable[[], object]:
    import lightgbm

    x, y = _data()
    how = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 7}
    data = lightgbm.Dataset(x, y, free_raw_data=False)
    held_out = lightgbm.Dataset(x[:500], y[:500], reference=data, free_raw_data=False)
    return lambda: lightgbm.train(how, data, ROUNDS, valid_sets=[held_out])


def _xgboost() -> Callable[[], object]:
    import xgboost

    x, y = _data()
    how = {"objective": "binary:logistic", "nthread": 1, "max_depth": 3}
    data, held_out = xgboost.DMatrix(x, y), xgboost.DMatrix(x[:500], y[:500])
    evals = [(held_out, "validation")]
    return lambda: xgboost.train(how, data, ROUNDS, evals=evals, verbose_eval=False)


def _keras() -> Callable[[], object]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    import torch

    torch.set_num_threads(1)
    x, y = _data()
    model = keras.Sequential([keras.layers.Dense(16), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    held_out = (x[:500], y[:500])
    return lambda: model.fit(
        x, y, batch_size=250, epochs=EPOCHS, verbose=0, validation_data=held_out
    )


def _sklearn() -> Callable[[], object]:
    from sklearn.linear_model import Ridge

    x, y = _data()

    def fits() -> None:
        for _ in range(FITS):
            Ridge().fit(x, y)

    return fits


def _data() -> tuple[object, object]:
    import numpy

    x = numpy.random.default_rng(0).random((2000, 10), dtype="float32")
    return x, (x.sum(1) > 5).astype("int32")


MAKERS = {"lightgbm": _lightgbm, "xgboost": _xgboost, "keras": _keras, "sklearn": _sklearn}
