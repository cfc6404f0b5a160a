"""MLflow, TensorBoard and W&B as users have them: what they log is in the journal, and joules are
in their stores, runs and files, beside it.

The libraries are the real ones, in processes of their own; what they keep is read back with their
own readers. Nothing is signed in to, and nothing leaves the machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jupyter_green.sessions.model import Session, Span
from tests.simulators.machine import RaplMachine

from .kernels import PATIENCE_S, ROOT, TIMEOUT_S, Home, Kernel, running, until
from .truth import assert_partition

LEVEL_AGE_S = 1.5
"""A level is a second old at the most, and may come a little late."""
BUSY_LEVEL_AGE_S = 0.75
"""While a cell runs, levels come four times a second."""
PLACE = "FR"
OFFLINE = {
    # A library may stand anywhere on the path of these tests.
    "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

NAMES = ("mlflow", "tensorboard", "wandb")


def needs(*modules: str) -> pytest.MarkDecorator:
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed here: {', '.join(absent)}")


mlflow = needs("mlflow")
wandb = needs("wandb")
torch = needs("torch", "tensorboard")
tensorboardx = needs("tensorboardX", "tensorboard")

BEGIN = """
import json, os, sys, threading, time
from jupyter_green import session
from jupyter_green.recorder import tracker as trackers
from jupyter_green.integrations import {name} as bridge

def used_j():
    return sum(span.energy.energy_j for span in session().spans if span.type == "run")
"""


@pytest.fixture
def home(place: Path, machine: RaplMachine) -> Any:
    home = Home(place / "home", sysfs_root=str(machine.sysfs), place=PLACE)
    yield home
    home.close()


def run(home: Home, name: str, code: str, *arguments: str) -> Any:
    """Run a script to its end; the last line that it prints, as JSON."""
    process = home.script(BEGIN.format(name=name) + code, *arguments, **OFFLINE)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert "Traceback" not in err, err
    return json.loads(out.splitlines()[-1])


def recorded(home: Home) -> Session:
    """The only session, when its recorder has gone."""
    until(lambda: not home.recorders(), PATIENCE_S, "the recorder's end")
    (session,) = home.sessions()
    assert_partition(session)
    assert session.problems == ()
    return session


def logged(session: Session) -> list[tuple[str, float, float | None, str | None, str]]:
    return [
        (metric.name, metric.value, metric.step, metric.run, metric.source)
        for metric in session.metrics
    ]


def uj_at(session: Session, t: float) -> float:
    """Counted microjoules on the session's counters, on a straight line between its stamps."""
    times, total = session.trace.t, 0.0
    after = min(max(bisect_right(times, t), 1), len(times) - 1)
    share = (t - times[after - 1]) / (times[after] - times[after - 1])
    for name, info in session.counters.items():
        if info.counted:
            uj = session.trace.uj[name]
            total += uj[after - 1] + min(max(share, 0.0), 1.0) * (uj[after] - uj[after - 1])
    return total


def assert_so_far(
    session: Session, span: Span, joules: float, step: float, age_s: float = LEVEL_AGE_S
) -> None:
    """These joules are the fold's own, from the run's beginning to a moment before this step."""
    (at,) = {metric.logged_s for metric in session.metrics if metric.step == step and metric.run}
    begin = uj_at(session, span.started_s)
    oldest, newest = uj_at(session, at - age_s) - begin, uj_at(session, at + 0.05) - begin
    # Stamps and samples are a second apart: a straight line is not all that lies between them.
    slack_uj = 0.02 * newest + 500_000
    assert oldest - slack_uj <= joules * 1e6 <= newest + slack_uj, (oldest, joules, newest)


def run_span(session: Session, name: str) -> Span:
    (span,) = (span for span in session.spans if span.name == name and span.type == "run")
    return span


def assert_totals(session: Session, span: Span, found: dict[str, float], rel: float = 1e-9) -> None:
    """Joules, kilowatt-hours, grams and seconds are those of the run's span, to the last digit."""
    energy_j, grams = span.energy.energy_j, session.co2_g(span.energy)
    assert energy_j is not None
    assert grams is not None
    assert {name: pytest.approx(value, rel=rel) for name, value in found.items()} == {
        "jupyter_green/energy_j": energy_j,
        "jupyter_green/energy_kwh": energy_j / 3.6e6,
        "jupyter_green/co2_g": grams,
        "jupyter_green/duration_s": span.duration_s,
    }
    assert energy_j > 10


# --- MLflow -----------------------------------------------------------------------------------

MLFLOW = """
bridge.install()
bridge.install()
import mlflow
mlflow.set_tracking_uri("file://" + os.path.abspath("store"))
client = mlflow.MlflowClient()
before = vars(mlflow.MlflowClient)["log_metric"].__wrapped__

with mlflow.start_run(run_name="tiny") as run:
    for step in range(3):
        time.sleep(0.7)
        mlflow.log_metrics({"val/acc": step / 10, "converged": True}, step=step)
    run_id = run.info.run_id
    client.log_metric(run_id, "loss", float("inf"), step=5)
    client.log_metric(run_id, "system/cpu_utilization_percentage", 50.0, step=5)
    mlflow.log_param("lr", 0.1)
    child = os.fork()
    if child == 0:
        mlflow.log_metric("in a worker", 1, step=6)
        os._exit(0)
    os.waitpid(child, 0)
    point = mlflow.entities.Metric("batch", 2.0, 1700000000000, 7)
    client.log_batch(run_id, [point, point])
    client.log_batch(run_id, metrics=(point,))

def refusal():
    try:
        mlflow.log_metric("not # allowed", 1.0, run_id=run_id)
    except Exception as error:
        return type(error).__name__, str(error)

with mlflow.start_run(run_name="tiny", run_id=run_id):
    refused = refusal()
    future = mlflow.log_metric("late", 3, step=9, synchronous=False)
    future.wait()
client.log_metric(run_id, "after its end", 4.0, step=11)

class Picky(mlflow.MlflowClient):
    refused = 0
    def log_batch(self, run_id, metrics=(), *args, **kwargs):
        if any(metric.key.startswith("jupyter_green") for metric in metrics):
            Picky.refused += 1
            raise PermissionError("not here")
        return super().log_batch(run_id, metrics, *args, **kwargs)

picky = Picky()
picky_id = picky.create_run("0", run_name="picky").info.run_id
for step in range(3):
    time.sleep(0.6)
    picky.log_metric(picky_id, "acc", step, step=20 + step)
picky.set_terminated(picky_id)
problems = trackers.current().problems

bridge.uninstall()
bridge.uninstall()
restored = vars(mlflow.MlflowClient)["log_metric"] is before
same_refusal = refusal() == refused and refused is not None
client.log_metric(run_id, "unseen", 5.0, step=12)

data = client.get_run(run_id).data
history = client.get_metric_history(run_id, "jupyter_green/energy_j")
print(json.dumps(dict(
    metrics=data.metrics, tags=data.tags, restored=restored, same_refusal=same_refusal,
    energy=[(point.step, point.value, point.timestamp) for point in history],
    future=type(future).__name__, refused=Picky.refused, problems=problems,
    picky=client.get_run(picky_id).data.metrics,
)))
"""


@mlflow
@pytest.mark.alone
def test_mlflow(home: Home) -> None:
    found = run(home, "mlflow", MLFLOW)
    session = recorded(home)
    assert logged(session) == [
        *(("val/acc", step / 10, step, "tiny", "mlflow") for step in (0, 1, 2)),
        ("loss", float("inf"), 5, "tiny", "mlflow"),
        ("batch", 2.0, 7, "tiny", "mlflow"),
        ("late", 3.0, 9, "tiny", "mlflow"),
        ("after its end", 4.0, 11, "tiny", "mlflow"),
        *(("acc", step, 20 + step, "picky", "mlflow") for step in range(3)),
    ]
    assert [metric.direction for metric in session.metrics][3] == "lower"
    assert (found["restored"], found["same_refusal"]) == (True, True)
    assert found["future"] == "RunOperations"
    # What cannot be written hurts nobody: tried once beside a step, and once at the run's end.
    assert (found["refused"], found["picky"]) == (2, {"acc": 2.0})
    assert found["problems"] == [
        "not all could be read from or written to mlflow: PermissionError: not here"
    ]

    # At most one a second beside the steps; then the totals of the first time, and of both.
    first, again = (span for span in session.spans if span.name == "tiny")
    beside = [point for point in found["energy"] if point[0] < 3]
    assert beside
    assert all(later[2] - earlier[2] > 950 for earlier, later in pairwise(beside))
    for step, joules, _ in beside:
        assert_so_far(session, first, joules, step)
    at_step = {step: joules for step, joules, _ in found["energy"]}
    assert at_step[7] == pytest.approx(first.energy.energy_j)
    together = sum(span.energy.energy_j or 0 for span in (first, again))
    assert found["energy"][-1][:2] == [9, pytest.approx(together)]
    ours = {name: value for name, value in found["metrics"].items() if name.startswith("jupyter")}
    assert ours == {
        "jupyter_green/energy_j": pytest.approx(together),
        "jupyter_green/energy_kwh": pytest.approx(together / 3.6e6),
        "jupyter_green/co2_g": pytest.approx(
            sum(session.co2_g(span.energy) or 0 for span in (first, again))
        ),
        "jupyter_green/duration_s": pytest.approx(first.duration_s + again.duration_s),
    }
    assert found["tags"]["jupyter_green.session"] == session.id
    assert found["tags"]["jupyter_green.provenance"].startswith("measured, ± ")
    assert "(France 2024)" in found["tags"]["jupyter_green.provenance"]


CELL = """
bridge.install()
import mlflow
mlflow.set_tracking_uri("file://" + os.path.abspath("store"))
"""
TRAINING = """
draw("package-0", 80)
with mlflow.start_run(run_name="in a cell") as run:
    for step in range(3):
        time.sleep(1.05)
        mlflow.log_metric("accuracy", step / 4, step=step)
"""


@mlflow
@pytest.mark.kernel
@pytest.mark.alone
def test_mlflow_in_a_kernel_beside_the_figures_of_the_fold(
    home: Home, machine: RaplMachine
) -> None:
    with running(home, fifo=machine.command_path, **OFFLINE) as kernel:
        kernel.ok(BEGIN.format(name="mlflow") + CELL)
        kernel.measured(TRAINING)
        history = "mlflow.MlflowClient().get_metric_history(run.info.run_id, '{}')"
        points = kernel.ask(
            f"[(p.step, p.value) for p in {history.format('jupyter_green/energy_j')}]"
        )
        session = until(lambda: _with_metrics(kernel, 3), what="three metrics")
        span = kernel.span("in a cell")
        kernel.shutdown()
    assert [step for step, _ in points] == [0, 1, 2, 2]
    for step, joules in points[:3]:
        assert_so_far(session, span, joules, step, BUSY_LEVEL_AGE_S)
    assert points[3][1] == pytest.approx(span.energy.energy_j)
    assert span.energy.energy_j == pytest.approx(83 * span.duration_s, rel=0.1)
    (cell,) = {metric.cell for metric in session.metrics}
    assert session.cell(cell or 0).first_line.startswith("draw(")


def _with_metrics(kernel: Kernel, count: int) -> Session | None:
    session = kernel.so_far()
    return session if session is not None and len(session.metrics) == count else None


# --- TensorBoard ------------------------------------------------------------------------------

TENSORBOARD = """
import importlib
bridge.install()
bridge.install()
writers = importlib.import_module(sys.argv[1])
writer = writers.SummaryWriter("logs/" + "one")
for step in range(3):
    time.sleep(0.6)
    assert writer.add_scalar("loss", 1 / 2**step, step) is None
    writer.add_scalars("acc", {"train": 0.5, "val": 0.25}, global_step=step)
writer.add_hparams({"lr": 0.1}, {"final": 0.75})
writer.close()
writer.close()

with writers.SummaryWriter("logs/quick") as quick:
    def add(thread):
        for step in range(50):
            quick.add_scalar(f"acc {thread}", step, thread * 50 + step)
    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

forgotten = writers.SummaryWriter("logs/never_closed")
forgotten.add_scalar("loss", 3.0, 8)
print("{}")
"""

READ = """
import glob
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

def read(directory):
    kept = EventAccumulator(directory)
    kept.Reload()
    scalars = {
        tag: [(event.step, event.value) for event in kept.Scalars(tag)]
        for tag in kept.Tags()["scalars"]
    }
    texts = {
        tag.removesuffix("/text_summary"): kept.Tensors(tag)[-1].tensor_proto.string_val[0].decode()
        for tag in kept.Tags()["tensors"]
    }
    return scalars, texts

print(json.dumps({name: read("logs/" + name) for name in sys.argv[1:]}))
"""


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("torch.utils.tensorboard", marks=torch),
        pytest.param("tensorboardX", marks=tensorboardx),
    ],
)
def test_tensorboard(home: Home, module: str) -> None:
    run(home, "tensorboard", TENSORBOARD, module)
    session = recorded(home)
    kept = run(home, "tensorboard", READ, "one", "quick", "never_closed")

    by_step = ((("loss", 1 / 2**step), ("acc/train", 0.5), ("acc/val", 0.25)) for step in range(3))
    expected: list[tuple[str, float, float | None, str | None, str]] = [
        (name, value, step, "logs/one", "tensorboard")
        for step, metrics in enumerate(by_step)
        for name, value in metrics
    ]
    expected.append(("final", 0.75, None, "logs/one", "tensorboard"))
    quick = [one for one in logged(session) if one[3] == "logs/quick"]
    assert [one for one in logged(session) if one[3] == "logs/one"] == expected
    assert sorted(quick) == sorted(
        (f"acc {thread}", step, thread * 50 + step, "logs/quick", "tensorboard")
        for thread in range(4)
        for step in range(50)
    )
    assert logged(session)[-1] == ("loss", 3.0, 8, "logs/never_closed", "tensorboard")

    # The directory that add_hparams makes is no run of its own.
    assert {span.name for span in session.spans} == {"logs/one", "logs/quick", "logs/never_closed"}

    scalars, texts = kept["one"]
    span = run_span(session, "logs/one")
    energy = scalars["jupyter_green/energy_j"]
    # At most one a second in 1.8 s, and the whole at the last step.
    assert [step for step, _ in energy] in ([0, 2, 2], [1, 2], [0, 2])
    for step, joules in energy[:-1]:
        times = [metric.logged_s for metric in session.metrics if metric.step == step]
        newest = uj_at(session, max(times)) - uj_at(session, span.started_s)
        assert 0 < joules * 1e6 <= newest + 5e5
    totals = {tag: points[-1][1] for tag, points in scalars.items() if tag.startswith("jupyter")}
    assert_totals(session, span, totals, rel=1e-6)  # event files keep 32 bits
    assert texts["jupyter_green/session"] == session.id
    assert texts["jupyter_green/provenance"].startswith("measured, ± ")

    # Two hundred steps in no time are no reason for two hundred figures.
    assert len(kept["quick"][0]["jupyter_green/energy_j"]) <= 3
    left = kept["never_closed"][0]
    assert left["jupyter_green/duration_s"][-1][0] == 8
    assert left["jupyter_green/energy_j"][-1][1] == pytest.approx(
        run_span(session, "logs/never_closed").energy.energy_j, rel=1e-6
    )


# --- Weights & Biases -------------------------------------------------------------------------

WANDB = """
import struct
import wandb

def originals():
    return [vars(wandb.Run)[name] for name in ("log", "define_metric", "finish", "__exit__")]

before = originals(), wandb.init
run = wandb.init(project="p", name="tiny")
bridge.install()
bridge.install()
run.define_metric("quality", summary="min")
run.define_metric("deep.*", summary="max")
row = {"loss": 1.0, "quality": 2, "text": "x", "flag": True, "deep": {"one": 3}}
for step in range(3):
    time.sleep(0.6)
    run.log(row, commit=False)
    wandb.log({"extra": step})
whole = row == {"loss": 1.0, "quality": 2, "text": "x", "flag": True, "deep": {"one": 3}}
file = run.settings.sync_file
run.finish()
try:
    run.log({"loss": 1})
    refused = ""
except wandb.UsageError as error:
    refused = str(error)
with wandb.init(project="p", name="next") as following:
    following.log({"acc": 0.5}, step=4)
    bridge.uninstall()
    bridge.uninstall()
    restored = (originals(), wandb.init) == before and wandb.log.__func__ is before[0][0]
    wandb.log({"unseen": 1})

def records(path):
    # The format of leveldb's logs, behind seven bytes of a header.
    from wandb.proto import wandb_internal_pb2
    data, at, whole = open(path, "rb").read(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""

def values(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}

rows, summary, config = [], {}, {}
for record in records(file):
    kind = record.WhichOneof("record_type")
    if kind == "history":
        rows.append((record.history.step.num, values(record.history.item)))
    elif kind == "summary":
        summary.update(values(record.summary.update))
    elif kind == "config":
        config.update(values(record.config.update))
print(json.dumps(dict(
    rows=rows, summary=summary, config=config["jupyter_green"], whole=whole, refused=refused,
    restored=restored,
)))
"""


@wandb
def test_wandb(home: Home) -> None:
    found = run(home, "wandb", WANDB)
    session = recorded(home)
    rows = (
        (("loss", 1.0), ("quality", 2.0), ("deep.one", 3.0), ("extra", float(step)))
        for step in range(3)
    )
    assert logged(session) == [
        *((*metric, step, "tiny", "wandb") for step, row in enumerate(rows) for metric in row),
        ("acc", 0.5, 4, "next", "wandb"),
    ]
    directions = {metric.name: metric.direction for metric in session.metrics}
    assert (directions["quality"], directions["deep.one"]) == ("lower", "higher")
    assert (found["whole"], found["restored"]) == (True, True)
    assert "is finished" in found["refused"]

    assert [step for step, _ in found["rows"]] == [0, 1, 2]
    assert all({"loss", "extra"} <= set(row) for _, row in found["rows"])
    span = run_span(session, "tiny")
    energy = {
        step: row["jupyter_green/energy_j"]
        for step, row in found["rows"]
        if "jupyter_green/energy_j" in row
    }
    assert set(energy) in ({0, 2}, {1}, {0})
    for step, joules in energy.items():
        times = [metric.logged_s for metric in session.metrics if metric.step == step]
        newest = uj_at(session, max(times)) - uj_at(session, span.started_s)
        assert 0 < joules * 1e6 <= newest + 5e5
    ours = {name: value for name, value in found["summary"].items() if name.startswith("jupyter")}
    assert_totals(session, span, ours)
    assert found["config"]["session"] == session.id
    assert found["config"]["provenance"].startswith("measured, ± ")


# --- without them -----------------------------------------------------------------------------

ABSENT = """
import importlib

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "tensorboard", "tensorboardX", "torch", "wandb"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
said = {}
for name in ("mlflow", "tensorboard", "wandb"):
    module = importlib.import_module("jupyter_green.integrations." + name)
    try:
        module.install()
    except ImportError as error:
        said[name] = [type(error).__name__, str(error)]
    module.uninstall()
print(json.dumps([said, trackers.current() is None]))
"""


def test_absent_libraries_name_their_pip_line_and_begin_nothing(home: Home) -> None:
    said, no_session = run(home, "wandb", ABSENT)
    assert no_session
    assert [kind for kind, _ in said.values()] == ["MissingPackage"] * 3
    assert said["mlflow"][1].endswith("pip install mlflow")
    assert said["tensorboard"][1].endswith(
        "pip install tensorboard torch, or pip install tensorboardX"
    )
    assert said["wandb"][1].endswith("pip install wandb")


def test_the_modules_load_no_tracker(home: Home) -> None:
    code = """
import importlib
for name in ("mlflow", "tensorboard", "wandb"):
    importlib.import_module("jupyter_green.integrations." + name)
libraries = {"mlflow", "tensorboard", "tensorboardX", "torch", "wandb"}
print(json.dumps(sorted(libraries & set(sys.modules))))
"""
    assert run(home, "mlflow", code) == []
