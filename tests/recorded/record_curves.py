"""Record the energy of real trainings, epoch by epoch: what the prediction is tested on.

::

    python -m tests.recorded.record_curves                # all that are not there yet
    python -m tests.recorded.record_curves torch-cnn ...  # these again: the quieter is kept

Each training runs in a process of its own, so that its first epoch has its real warm-up, and
every epoch is a ``measure()`` window of jupyter_green. A curve is written to
``tests/recorded/training_curves/NAME.json``, with the energy of the whole machine as
``measure()`` tells it, and with that of the training's own processes by the same model (idle
watts x time + watts x CPU seconds), which other users of a shared machine reach less: their work
slows it down, and takes more CPU seconds for the same. So a training that is recorded again is
kept only where others used less beside it. Needs scikit-learn and torch; takes about ten minutes
on two CPUs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

FOLDER = Path(__file__).parent / "training_curves"
IDLE_W, BUSY_W = 0.767, 3.3
"""Of the machine of the recordings, by jupyter_green's model: all the time, and a busy CPU."""

Training = Callable[[int], Iterator[None]]
"""Given the number of epochs: up to the first yield it gets ready, then each step is an epoch."""

TRAININGS: dict[str, tuple[int, str, Training]] = {}
"""By name: epochs, what happens in it, and the training."""


def training(name: str, epochs: int, story: str) -> Callable[[Training], Training]:
    def keep(function: Training) -> Training:
        TRAININGS[name] = epochs, story, function
        return function

    return keep


# --- data and disturbances ---


def table(rows: int = 8000, columns: int = 60, classes: int = 4) -> tuple[Any, Any]:
    from sklearn.datasets import make_classification

    return make_classification(
        rows, columns, n_informative=columns // 2, n_classes=classes, random_state=0
    )


def spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(1000))


class Neighbour:
    """Another process that computes for a while on the same machine."""

    all: ClassVar[list[Neighbour]] = []

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._seen_s = 0.0
        self.all.append(self)

    def come(self) -> None:
        self._process = multiprocessing.get_context("spawn").Process(target=spin, args=(600,))
        self._process.start()

    def go(self) -> None:
        if self._process is not None:
            self.look()
            self._process.kill()
            self._process.join()
            self._process = None

    def look(self) -> float:
        """Its CPU seconds so far."""
        if self._process is not None:
            import psutil

            times = psutil.Process(self._process.pid).cpu_times()
            self._seen_s = times.user + times.system
        return self._seen_s

    @classmethod
    def busy_s(cls) -> float:
        return sum(neighbour.look() for neighbour in cls.all)


def checkpoint(thing: Any) -> None:
    with tempfile.TemporaryFile() as file:
        for _ in range(8):
            file.seek(0)
            pickle.dump(thing, file)
        file.flush()
        os.fsync(file.fileno())


# --- scikit-learn ---


def sgd_pass(model: Any, x: Any, y: Any, passes: int = 20) -> None:
    for _ in range(passes):
        model.partial_fit(x, y, classes=[0, 1, 2, 3])


def sgd(loss: str = "log_loss") -> Any:
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(loss=loss, random_state=0)


@training("sgd-plain", 60, "partial_fit on the same data")
def sgd_plain(epochs: int) -> Iterator[None]:
    model, (x, y) = sgd(), table()
    yield
    for _ in range(epochs):
        sgd_pass(model, x, y)
        yield


@training("sgd-hinge-long", 200, "partial_fit on the same data, short epochs")
def sgd_hinge_long(epochs: int) -> Iterator[None]:
    model, (x, y) = sgd("hinge"), table(6000)
    yield
    for _ in range(epochs):
        sgd_pass(model, x, y, 12)
        yield


@training("sgd-evaluation", 60, "an evaluation on more data every 5 epochs")
def sgd_evaluation(epochs: int) -> Iterator[None]:
    model, (x, y) = sgd(), table()
    more, _ = table(60_000)
    yield
    for epoch in range(epochs):
        sgd_pass(model, x, y)
        if epoch % 5 == 4:
            for _ in range(20):
                model.predict(more)
        yield


@training("sgd-growing", 60, "the data grow from a half to all of them, epoch by epoch")
def sgd_growing(epochs: int) -> Iterator[None]:
    model, (x, y) = sgd(), table(12_000)
    yield
    for epoch in range(epochs):
        rows = 6000 + 6000 * epoch // epochs
        sgd_pass(model, x[:rows], y[:rows])
        yield


@training("sgd-neighbour", 60, "another process computes from epoch 24 to 36")
def sgd_neighbour(epochs: int) -> Iterator[None]:
    model, (x, y), neighbour = sgd(), table(), Neighbour()
    yield
    for epoch in range(epochs):
        if epoch == 24:
            neighbour.come()
        if epoch == 36:
            neighbour.go()
        sgd_pass(model, x, y)
        yield


@training("sgd-neighbour-goes", 50, "another process computes until epoch 15")
def sgd_neighbour_goes(epochs: int) -> Iterator[None]:
    model, (x, y), neighbour = sgd(), table(), Neighbour()
    neighbour.come()
    yield
    for epoch in range(epochs):
        if epoch == 15:
            neighbour.go()
        sgd_pass(model, x, y)
        yield


@training("sgd-reader", 40, "each epoch reads its data from a file that a cache keeps")
def sgd_reader(epochs: int) -> Iterator[None]:
    import numpy

    model, (x, y) = sgd(), table(12_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.txt")
        numpy.savetxt(path, x[:2000], fmt="%.4f")
        yield
        for _ in range(epochs):
            read = numpy.loadtxt(path)
            sgd_pass(model, read, y[:2000], 40)
            yield


def perceptron(width: int = 64) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((width,), batch_size=128, random_state=0)


def perceptron_pass(model: Any, x: Any, y: Any, passes: int = 4) -> None:
    for _ in range(passes):
        model.partial_fit(x, y, classes=[0, 1, 2, 3])


@training("mlp-plain", 50, "partial_fit on the same data")
def mlp_plain(epochs: int) -> Iterator[None]:
    model, (x, y) = perceptron(), table(6000)
    yield
    for _ in range(epochs):
        perceptron_pass(model, x, y)
        yield


@training("mlp-checkpoint", 64, "a checkpoint on disk every 8 epochs")
def mlp_checkpoint(epochs: int) -> Iterator[None]:
    model, (x, y) = perceptron(), table(5000)
    ballast = table(20_000)
    yield
    for epoch in range(epochs):
        perceptron_pass(model, x, y)
        if epoch % 8 == 7:
            checkpoint((model, ballast))
        yield


@training("mlp-batch-grows", 40, "the batch doubles every 10 epochs, so that epochs get cheaper")
def mlp_batch_grows(epochs: int) -> Iterator[None]:
    model, (x, y) = perceptron(), table(6000)
    yield
    for epoch in range(epochs):
        model.batch_size = 64 << (epoch // 10)
        perceptron_pass(model, x, y)
        yield


@training("mlp-early-evaluation", 80, "an evaluation after every epoch, on a growing list of runs")
def mlp_early_evaluation(epochs: int) -> Iterator[None]:
    model, (x, y) = perceptron(32), table(4000)
    kept: list[Any] = []
    yield
    for _ in range(epochs):
        perceptron_pass(model, x, y, 8)
        kept.append(model.predict_proba(x))
        for _ in range(40):
            sum(kept[-20:]).argmax(axis=1)
        yield


@training("boosting-rounds", 60, "a round of gradient boosting is an epoch (warm start)")
def boosting_rounds(epochs: int) -> Iterator[None]:
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = table(8000, 30)
    model = GradientBoostingRegressor(n_estimators=0, warm_start=True, subsample=0.7)
    yield
    for _ in range(epochs):
        model.n_estimators += 2
        model.fit(x, y)
        yield


@training("boosting-scored", 60, "each round is scored over all trees so far: dearer every time")
def boosting_scored(epochs: int) -> Iterator[None]:
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = table(3000, 30)
    model = GradientBoostingRegressor(n_estimators=0, warm_start=True)
    yield
    for _ in range(epochs):
        model.n_estimators += 1
        model.fit(x, y)
        for _ in range(10):
            model.predict(x)
        yield


@training("forest-rounds", 40, "trees added to a forest (warm start)")
def forest_rounds(epochs: int) -> Iterator[None]:
    from sklearn.ensemble import RandomForestClassifier

    x, y = table(12_000, 30)
    model = RandomForestClassifier(n_estimators=0, warm_start=True, random_state=0)
    yield
    for _ in range(epochs):
        model.n_estimators += 1
        model.fit(x, y)
        yield


@training("histogram-boosting", 30, "HistGradientBoosting, 3 rounds an epoch (warm start)")
def histogram_boosting(epochs: int) -> Iterator[None]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = table(20_000, 30, 2)
    model = HistGradientBoostingClassifier(max_iter=1, warm_start=True, early_stopping=False)
    yield
    for epoch in range(epochs):
        model.max_iter = 3 * (epoch + 1)
        model.fit(x, y)
        yield


@training("kmeans-stream", 80, "mini-batch k-means on a stream of batches")
def kmeans_stream(epochs: int) -> Iterator[None]:
    from sklearn.cluster import MiniBatchKMeans

    x, _ = table(16_000)
    model = MiniBatchKMeans(40, random_state=0)
    yield
    for _ in range(epochs):
        for start in [*range(0, 16_000, 1000)] * 8:
            model.partial_fit(x[start : start + 1000])
        yield


# --- numpy ---


def numpy_pass(x: Any, weights: list[Any]) -> None:
    import numpy

    for start in range(0, len(x), 500):
        part = x[start : start + 500]
        hidden = numpy.tanh(part @ weights[0])
        error = hidden @ weights[1] - part[:, :10]
        weights[1] -= 1e-4 * hidden.T @ error / len(part)
        weights[0] -= 1e-4 * part.T @ ((error @ weights[1].T) * (1 - hidden**2)) / len(part)


def numpy_start(rows: int = 20_000) -> tuple[Any, list[Any]]:
    import numpy

    random = numpy.random.default_rng(0)
    shapes = ((60, 128), (128, 10))
    return random.normal(size=(rows, 60)), [random.normal(size=shape) / 30 for shape in shapes]


@training("numpy-plain", 100, "a network of two layers by hand")
def numpy_plain(epochs: int) -> Iterator[None]:
    x, weights = numpy_start()
    yield
    for _ in range(epochs):
        numpy_pass(x, weights)
        yield


@training("numpy-evaluation", 80, "an evaluation every 4 epochs")
def numpy_evaluation(epochs: int) -> Iterator[None]:
    import numpy

    x, weights = numpy_start()
    yield
    for epoch in range(epochs):
        numpy_pass(x, weights)
        if epoch % 4 == 3:
            numpy.tanh(x @ weights[0]) @ weights[1]
        yield


@training("numpy-doubling", 60, "the data double at a third of the epochs")
def numpy_doubling(epochs: int) -> Iterator[None]:
    x, weights = numpy_start()
    yield
    for epoch in range(epochs):
        numpy_pass(x if epoch >= epochs // 3 else x[:10_000], weights)
        yield


@training("numpy-stalls", 80, "some epochs wait for data (a pause of up to half a second)")
def numpy_stalls(epochs: int) -> Iterator[None]:
    import random

    dice = random.Random(4)
    x, weights = numpy_start()
    yield
    for _ in range(epochs):
        numpy_pass(x, weights)
        if dice.random() < 0.1:
            time.sleep(dice.uniform(0.1, 0.5))
        yield


# --- PyTorch ---


def images(count: int = 5000, side: int = 16) -> tuple[Any, Any]:
    import torch

    torch.manual_seed(0)
    return torch.randn(count, 1, side, side), torch.randint(0, 10, (count,))


def convolutional() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


def adam(model: Any) -> Any:
    import torch

    return torch.optim.Adam(model.parameters())


def torch_pass(model: Any, optimiser: Any, x: Any, y: Any, batch: int = 100) -> None:
    from torch.nn.functional import cross_entropy

    for start in range(0, len(x), batch):
        optimiser.zero_grad()
        cross_entropy(model(x[start : start + batch]), y[start : start + batch]).backward()
        optimiser.step()


@training("torch-linear", 150, "one linear layer, short epochs")
def torch_linear(epochs: int) -> Iterator[None]:
    from torch import nn

    model, (x, y) = nn.Sequential(nn.Flatten(), nn.Linear(256, 10)), images(60_000)
    optimiser = adam(model)
    yield
    for _ in range(epochs):
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-cnn", 50, "two convolutional layers")
def torch_cnn(epochs: int) -> Iterator[None]:
    model, (x, y) = convolutional(), images()
    optimiser = adam(model)
    yield
    for _ in range(epochs):
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-cnn-long", 200, "two convolutional layers, many short epochs")
def torch_cnn_long(epochs: int) -> Iterator[None]:
    model, (x, y) = convolutional(), images(2000)
    optimiser = adam(model)
    yield
    for _ in range(epochs):
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-cnn-evaluation", 50, "an evaluation on more images every 5 epochs")
def torch_cnn_evaluation(epochs: int) -> Iterator[None]:
    import torch

    model, (x, y) = convolutional(), images()
    more, _ = images(8000)
    optimiser = adam(model)
    yield
    for epoch in range(epochs):
        torch_pass(model, optimiser, x, y)
        if epoch % 5 == 4:
            with torch.no_grad():
                model(more)
        yield


@training("torch-cnn-checkpoint", 60, "a checkpoint on disk every 10 epochs")
def torch_cnn_checkpoint(epochs: int) -> Iterator[None]:
    model, (x, y) = convolutional(), images()
    ballast = images(30_000)[0].numpy()
    optimiser = adam(model)
    yield
    for epoch in range(epochs):
        torch_pass(model, optimiser, x, y)
        if epoch % 10 == 9:
            checkpoint(ballast)
        yield


@training("torch-cnn-neighbour", 50, "another process computes from epoch 20 to 28")
def torch_cnn_neighbour(epochs: int) -> Iterator[None]:
    model, (x, y), neighbour = convolutional(), images(), Neighbour()
    optimiser = adam(model)
    yield
    for epoch in range(epochs):
        if epoch == 20:
            neighbour.come()
        if epoch == 28:
            neighbour.go()
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-cnn-unfrozen", 48, "the first layers are frozen for the first 16 epochs")
def torch_cnn_unfrozen(epochs: int) -> Iterator[None]:
    model, (x, y) = convolutional(), images()
    optimiser = adam(model)
    early = list(model[:3].parameters())
    yield
    for epoch in range(epochs):
        for parameter in early:
            parameter.requires_grad_(epoch >= 16)
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-cnn-freezing", 45, "freeze-out: the early layers are frozen from epoch 30 on")
def torch_cnn_freezing(epochs: int) -> Iterator[None]:
    model, (x, y) = convolutional(), images()
    optimiser = adam(model)
    yield
    for epoch in range(epochs):
        if epoch == 30:
            for parameter in model[:7].parameters():
                parameter.requires_grad_(False)
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-cnn-resized", 45, "progressive resizing: sides of 14, 16 and 18, 15 epochs each")
def torch_cnn_resized(epochs: int) -> Iterator[None]:
    model = convolutional()
    optimiser = adam(model)
    yield
    for epoch in range(epochs):
        if epoch % 15 == 0:
            x, y = images(4000, 14 + 2 * (epoch // 15))
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-cnn-cached", 40, "the first epoch makes the features that the others reuse")
def torch_cnn_cached(epochs: int) -> Iterator[None]:
    import torch

    model, (x, y) = convolutional(), images()
    optimiser = adam(model)
    yield
    for epoch in range(epochs):
        if epoch == 0:
            x = torch.stack([torch.fft.ifft2(torch.fft.fft2(image)).real for image in x])
            spin(0.4)
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-gru", 40, "a recurrent network")
def torch_gru(epochs: int) -> Iterator[None]:
    from torch import nn

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.head = nn.GRU(16, 32, batch_first=True), nn.Linear(32, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.gru(x.squeeze(1))[0][:, -1])

    model, (x, y) = Last(), images(4000)
    optimiser = adam(model)
    yield
    for _ in range(epochs):
        torch_pass(model, optimiser, x, y)
        yield


@training("torch-attention-curriculum", 60, "sequences grow from 12 to 16 over the training")
def torch_attention(epochs: int) -> Iterator[None]:
    import torch
    from torch import nn

    layer = nn.TransformerEncoderLayer(16, 4, 64, batch_first=True)
    head = nn.Linear(16, 10)

    def model(x: Any) -> Any:
        return head(layer(x.squeeze(1)).mean(1))

    x, y = images(4000)
    optimiser = torch.optim.Adam([*layer.parameters(), *head.parameters()])
    yield
    for epoch in range(epochs):
        torch_pass(model, optimiser, x[:, :, : 12 + 4 * epoch // epochs], y)
        yield


@training("torch-compiled", 30, "traced and optimised while the first epochs run")
def torch_compiled(epochs: int) -> Iterator[None]:
    import warnings

    import torch

    x, y = images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.trace(convolutional(), x[:100], check_trace=False)
    optimiser = adam(model)
    yield
    for _ in range(epochs):
        torch_pass(model, optimiser, x, y)
        yield


# --- recording ---


def record(name: str) -> None:
    """Run one training in this process, and write its curve."""
    from jupyter_green import measure, session

    epochs, story, function = TRAININGS[name]
    steps = function(epochs)
    with measure("getting ready"):  # imports, data and our own recorder's start are no epoch's
        next(steps)
        time.sleep(1)
    busy_s = [own_busy_s()]
    for _ in range(epochs):
        with measure("epoch"):
            next(steps)
        busy_s.append(own_busy_s())
    next(steps, None)
    seen = session()
    spans = [span for span in seen.spans if span.name == "epoch"]
    (counter,) = (info for info in seen.counters.values() if info.counted)
    curve = {
        "name": name,
        "story": story,
        "epochs": epochs,
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "provenance": list(seen.total.provenance),
        "counter": {
            "name": counter.name,
            "device": counter.device,
            "scope": counter.scope,
            "assumption": counter.assumption,
        },
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "energies_uj": [
            round(1e6 * (IDLE_W * span.duration_s + BUSY_W * (after_s - before_s)))
            for span, (before_s, after_s) in zip(spans, pairwise(busy_s), strict=True)
        ],
        "machine_uj": [span.energy.total_uj for span in spans],
        "durations_s": [round(span.duration_s, 6) for span in spans],
    }
    assert len(spans) == epochs
    FOLDER.mkdir(exist_ok=True)
    rows = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in curve.items())
    (FOLDER / f"{name}.json").write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


def own_busy_s() -> float:
    """CPU seconds of this process and of its neighbours, in nanosecond steps where Linux can."""
    return time.process_time() + Neighbour.busy_s()


def others(text: str) -> float:
    """The energy of others' work beside a recorded training, as a share of its own."""
    curve = json.loads(text)
    own = sum(curve["energies_uj"])
    return float((sum(curve["machine_uj"]) - own) / own)


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in TRAININGS]:
        raise SystemExit(f"no such training: {unknown}; there are {sorted(TRAININGS)}")
    names = names or [name for name in TRAININGS if not (FOLDER / f"{name}.json").exists()]
    with tempfile.TemporaryDirectory() as scratch:
        environ = {**os.environ, "JUPYTER_DATA_DIR": scratch, "OMP_NUM_THREADS": "1"}
        for name in names:
            print(name, flush=True)
            command = [sys.executable, "-m", "tests.recorded.record_curves", "--here", name]
            path = FOLDER / f"{name}.json"
            before = path.read_text(encoding="utf-8") if path.exists() else None
            subprocess.run(command, env=environ, check=True, cwd=Path(__file__).parents[2])
            now = path.read_text(encoding="utf-8")
            if before is not None and others(before) < others(now):
                path.write_text(before, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        record(sys.argv[2])
    else:
        main(sys.argv[1:])
