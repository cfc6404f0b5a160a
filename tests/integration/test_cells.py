"""Cells as front ends send them: what the user sees, and what the journal holds."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.simulators.machine import RaplMachine, one_socket

from .kernels import Home, Kernel, Reply, running, until
from .truth import Check, assert_partition

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

NOT_FIRST = "%%energy works on the first line of a cell only"
PEAK_W = 38.0
MEGABYTE = "\n".join(f"value_{n} = {'x' * 1000!r}" for n in range(1100))


@pytest.fixture(scope="module")
def green() -> Iterator[Kernel]:
    """One kernel for all cells that leave no trace for the next test."""
    root = Path(tempfile.mkdtemp(prefix="green-"))
    with RaplMachine(root / "machine", one_socket()) as machine:
        home = Home(root / "home", sysfs_root=str(machine.sysfs))
        with running(home, fifo=machine.command_path) as kernel:
            kernel.ok("from jupyter_green import log, measure, session")
            yield kernel
        home.close()
    shutil.rmtree(root, ignore_errors=True)


def result_line(reply: Reply) -> str:
    """The one line in which %%energy shows its cell."""
    lines = [text for text in reply.shown if " J · " in text or "mJ" in text or "µJ" in text]
    assert len(lines) == 1, reply.shown
    return lines[0]


def cell_count(kernel: Kernel) -> int:
    """How many cells have run so far, by way of one more."""
    return kernel.measured("None").number


# --- %%energy: as if the line were not there ---


def test_energy_shows_one_line(green: Kernel) -> None:
    reply = green.ok("%%energy\ntime.sleep(0.1)")
    line = result_line(reply)
    assert line.startswith("time.sleep(0.1) · ")
    assert line.endswith("measured")
    (bundle,) = reply.bundles
    assert "<b>" in bundle["text/html"]
    assert not reply.out
    assert not reply.err


def test_last_expression(green: Kernel) -> None:
    reply = green.ok("%%energy -q\nx = 20\nx + 22")
    assert reply.shown == ["42"]
    assert green.ok("_").shown == ["42"]


def test_error(green: Kernel) -> None:
    reply = green.run("%%energy\n\nx = 1\n1 / 0")
    assert (reply.status, reply.ename) == ("error", "ZeroDivisionError")
    (traceback,) = reply.errors
    assert "line 4" in traceback
    result_line(reply)
    cell = green.cell(reply)
    assert (cell.status, cell.error) == ("error", "ZeroDivisionError")
    assert cell.energy.total_uj
    assert green.session().ledger.category_of[cell.number] == "failed"


def test_interrupt(green: Kernel) -> None:
    message = green.send("%%energy\nsay('sleeping')\ntime.sleep(60)")
    until((green.home.work / "sleeping").exists)
    green.interrupt()
    reply = green.reply(message)
    assert (reply.status, reply.ename) == ("error", "KeyboardInterrupt")
    assert green.cell(reply).status == "interrupted"
    assert green.measured("1").status == "ok"


def test_interrupt_of_a_cell_that_awaits(green: Kernel) -> None:
    """The kernel cancels such a cell, as soon as its event loop awakes."""
    body = "for _ in range(600):\n    await asyncio.sleep(0.1)"
    message = green.send(f"import asyncio\nsay('awaiting')\n{body}")
    until((green.home.work / "awaiting").exists)
    green.interrupt()
    reply = green.reply(message)
    assert reply.status == "error"
    assert green.cell(reply).status == "interrupted"
    after = green.measured("1")
    assert after.parent is None
    assert not green.session().open_cells


def test_top_level_await(green: Kernel) -> None:
    reply = green.ok("%%energy\nimport asyncio\nawait asyncio.sleep(0.1)\n'done'")
    assert "'done'" in reply.shown
    assert green.cell(reply).duration_s >= 0.1


@pytest.mark.parametrize("blank", ["", "\n", "  \n\n"])
def test_cell_magics_below(green: Kernel, blank: str) -> None:
    reply = green.ok(f"%%energy\n{blank}%%time\nsum(range(1000))")
    assert "Wall time" in reply.out
    result_line(reply)
    reply = green.ok(f"%%energy\n{blank}%%bash\necho from bash")
    assert reply.out == "from bash\n"
    result_line(reply)
    reply = green.ok(f"%%energy\n{blank}%%capture caught\nprint('caught')")
    assert reply.out == ""
    result_line(reply)
    assert green.ask("caught.stdout") == "caught\n"


def test_energy_that_is_not_first(green: Kernel) -> None:
    reply = green.ok("%%time\n%%energy\nbelow = 5")
    assert reply.out.count(NOT_FIRST) == 1
    assert green.ask("below") == 5
    assert not reply.shown
    assert green.cell(reply).status == "ok"


def test_energy_that_is_captured(green: Kernel) -> None:
    """``%%capture`` runs a cell of its own, so that this one is measured, and its line caught."""
    reply = green.ok("%%capture caught\n%%energy\nbelow = time.sleep(0.05)")
    assert reply.silent
    assert green.ask("len(caught.outputs)") == 1
    assert " · " in green.ask("caught.outputs[0].data['text/plain']")


def test_energy_inside_a_script_that_is_run(green: Kernel) -> None:
    (green.home.work / "inner.ipy").write_text("%%energy\nfrom_inner = 3\n", encoding="utf-8")
    reply = green.ok("%run inner.ipy")
    assert reply.out.count(NOT_FIRST) == 1
    assert green.ask("from_inner") == 3


@pytest.mark.parametrize(
    "line", ["--bogus", "-o 3x", "-o", "--label", "x = 1", "--label 'open", "-q --output a-b"]
)
def test_bad_options(green: Kernel, line: str) -> None:
    """The body must not run, and Run All must stop here."""
    reply = green.run(f"%%energy {line}\nprint('must not run')")
    assert (reply.status, reply.ename) == ("error", "UsageError")
    assert "must not run" not in reply.out
    assert "%%energy [--label NAME]" in reply.everything
    assert green.cell(reply).status == "error"


def test_options_reach_the_journal(green: Kernel) -> None:
    options = '--label "two words" -s training -t mixed-precision -q -o kept'
    reply = green.ok(f"%%energy {options}\ntime.sleep(0.05)")
    assert reply.silent, reply.everything
    cell = green.cell(reply)
    assert cell.tags.label == "two words"
    assert cell.tags.stage == "training"
    assert cell.tags.technique == "mixed-precision"
    assert cell.energy.energy_j == pytest.approx(green.ask("kept.energy_j"))
    assert green.ask("kept.duration_s") == pytest.approx(cell.duration_s)


def test_metrics_are_shown(green: Kernel) -> None:
    reply = green.ok("%%energy\ntime.sleep(0.05)\nlog(accuracy=0.913, step=2)")
    assert "0.913" in result_line(reply)


def test_help(green: Kernel) -> None:
    assert green.ok("%%energy?").status == "ok"
    assert green.ok("%green?").status == "ok"


# --- %%energy under programs that run notebooks ---

NBCLIENT = """
import sys, nbclient, nbformat
notebook = nbformat.read("in.ipynb", 4)
try:
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
except nbclient.exceptions.CellExecutionError as error:
    print("stopped by", error.ename)
nbformat.write(notebook, "out.ipynb")
"""
PAPERMILL = """
import papermill
try:
    papermill.execute_notebook("in.ipynb", "out.ipynb", kernel_name="python3", progress_bar=False)
except papermill.PapermillExecutionError as error:
    print("stopped by", error.ename)
"""


@pytest.mark.parametrize("program", [NBCLIENT, PAPERMILL], ids=["nbclient", "papermill"])
def test_an_error_stops_the_notebook(home: Home, program: str) -> None:
    sources = ["%load_ext jupyter_green", "%%energy\n1 / 0", "print('must not run')"]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    nbformat.write(notebook, home.work / "in.ipynb")
    done = home.script(program)
    out, err = done.communicate(timeout=60)
    assert out == "stopped by ZeroDivisionError\n", err
    executed = nbformat.read(home.work / "out.ipynb", as_version=4)
    failed = next(cell for cell in executed.cells if cell.source == sources[1])
    kinds = [output.output_type for output in failed.outputs]
    assert kinds.count("error") == 1
    assert kinds.count("display_data") == 1
    last = next(cell for cell in executed.cells if cell.source == sources[2])
    assert not last.outputs

    def closed() -> bool:
        return home.sessions()[0].state == "closed"

    until(closed, what="a closed session")
    (session,) = home.sessions()
    assert [cell.status for cell in session.cells] == ["error"]


# --- cells of all kinds ---


def test_nested_cells(green: Kernel) -> None:
    """The outermost owns the time; a nested one is a difference, shown and never added."""
    code = "time.sleep(0.05)\nget_ipython().run_cell('%%energy -q\\ntime.sleep(0.1)')\nNone"
    outer = green.measured(code)
    inner = next(cell for cell in green.session().cells if cell.parent == outer.number)
    assert outer.owns_time
    assert not inner.owns_time
    assert outer.duration_s > inner.duration_s >= 0.1
    assert outer.energy.total_uj is not None
    assert inner.energy.total_uj is not None
    assert outer.energy.total_uj > inner.energy.total_uj > 0
    assert inner.number not in green.session().ledger.category_of
    assert_partition(green.session())


def test_cells_that_do_nothing(green: Kernel) -> None:
    before = cell_count(green)
    assert green.run("").status == "ok"
    assert green.run("  \n\n").status == "ok"
    assert green.measured("# nothing but a comment").first_line == "# nothing but a comment"
    green.ok("get_ipython().run_cell('')\nNone")
    green.ok("%%energy")
    green.ok("%%energy\n# nothing\n")
    # Two comments, one that ran an empty one, one lone line, and the one that counts.
    assert cell_count(green) == before + 5
    assert not green.session().open_cells


def test_syntax_error(green: Kernel) -> None:
    for code in ("def (", "%%energy\ndef (", "  indented\nnot"):
        reply = green.run(code)
        assert reply.status == "error"
        assert len(reply.errors) == 1
        cell = green.cell(reply)
        assert cell.status == "error"
        assert cell.error in ("SyntaxError", "IndentationError")


def test_silent_requests_are_not_tracked(green: Kernel) -> None:
    before = cell_count(green)
    assert green.run("time.sleep(0.01)", silent=True).status == "ok"
    assert cell_count(green) == before + 1


def test_rerun_supersedes(green: Kernel) -> None:
    for code in ("time.sleep(0.02)", "time.sleep(0.03)", "1 / 0", "time.sleep(0.01)"):
        green.run(code, cell_id="the same cell")
    green.ok("%%energy -q --label other\ntime.sleep(0.01)", cell_id="the same cell")
    runs = until(
        lambda: len(green.cells_of("the same cell")) == 5 and green.cells_of("the same cell")
    )
    category = green.session().ledger.category_of
    assert [category[cell.number] for cell in runs] == [
        "superseded",
        "superseded",
        "failed",
        "productive",
        "productive",
    ]


def test_a_huge_cell(green: Kernel) -> None:
    cell = green.measured(f"%%energy -q\nvalue = 0\n{MEGABYTE}")
    assert cell.first_line == "value = 0"
    assert cell.source is None


def test_a_huge_first_line(green: Kernel) -> None:
    cell = green.measured(f"x = {'1' * 4000!r} + {'y' * 200_000!r}")
    assert 0 < len(cell.first_line) <= 200


def test_source_is_kept_on_request(home: Home, machine: RaplMachine) -> None:
    home.configure(sysfs_root=str(machine.sysfs), keep_source=True)
    source = f"name = 'Zoë 🌱'\n{MEGABYTE}"
    with running(home) as kernel:
        cell = kernel.measured(source)
        assert cell.source == source
        assert kernel.measured("1").status == "ok"


def test_unicode(green: Kernel) -> None:
    cell = green.measured("Δenergie = '🌱 \\u202e ünï' # 漢字")
    assert cell.first_line == "Δenergie = '🌱 \\u202e ünï' # 漢字"
    green.ok("log({'precisión ✓': 1})")
    reply = green.ok("%%energy --label '🌱 漢字'\ntime.sleep(0.05)")
    assert result_line(reply).startswith("🌱 漢字")


def test_surrogates(green: Kernel) -> None:
    """Text that no encoding can write must not cost a cell, nor raise in the user's."""
    lone = "chr(0xdc80)"
    reply = green.ok(f"get_ipython().run_cell('text = ' + repr({lone}) + ' # ' + {lone})\nNone")
    outer = green.cell(reply)
    (inner,) = [cell for cell in green.session().cells if cell.parent == outer.number]
    assert inner.first_line.startswith("text = ")
    green.ok(f"log({{'metric ' + {lone}: 1}}, run={lone})")
    green.ok(f"with measure({lone}, label={lone}) as block: pass")
    after = green.measured("1")
    assert after.parent is None
    assert not green.session().problems


# --- %energy ---


def test_energy_statement(green: Kernel) -> None:
    reply = green.ok("""%energy -l 'two words' len("a b  'c'")""")
    assert "8" in reply.shown
    assert result_line(reply).startswith("two words")
    assert green.span("two words").type == "statement"


def test_energy_statement_with_a_result(green: Kernel) -> None:
    green.ok("value = 3\ntotal = %energy -q -o kept value * 14")
    assert green.ask("(total, kept.kind)") == (42, "span")


def test_energy_statement_that_fails(green: Kernel) -> None:
    reply = green.run("%energy -l broken 1 / 0")
    assert (reply.status, reply.ename) == ("error", "ZeroDivisionError")
    assert len(reply.errors) == 1
    span = green.span("broken")
    assert (span.status, span.error) == ("error", "ZeroDivisionError")
    reply = green.run("%energy")
    assert reply.ename == "UsageError"


# --- subshells and threads ---


def test_subshell(green: Kernel) -> None:
    subshell = green.open_subshell()
    if subshell is None:
        pytest.skip("this ipykernel has no subshells")
    outer = green.send("say('main runs')\nwait_for('subshell ran')")
    until((green.home.work / "main runs").exists)
    reply = green.run("time.sleep(0.05)\nsay('subshell ran')", subshell=subshell)
    assert reply.status == "ok"
    main = green.reply(outer)
    assert main.status == "ok"

    def both() -> list[str]:
        cells = green.session().cells
        threads = [cell.thread for cell in cells if "subshell ran" in cell.first_line]
        return threads or [c.thread for c in cells if c.thread == "subshell"]

    assert until(both) == ["subshell"]
    session = green.session()
    (inner,) = [cell for cell in session.cells if cell.thread == "subshell"]
    assert not inner.owns_time
    assert inner.number not in session.ledger.category_of
    assert not session.open_cells
    assert_partition(session)


def test_threads(green: Kernel) -> None:
    cell = green.measured(
        "import threading\n"
        "def work(number):\n"
        "    for step in range(50):\n"
        "        log({f'of thread {number}': step}, step=step)\n"
        "        with measure(f'block {number}'): pass\n"
        "threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()"
    )
    session = green.session()
    logged = [m for m in session.metrics if m.name.startswith("of thread")]
    assert len(logged) == 400
    for number in range(8):
        steps = [m.step for m in logged if m.name == f"of thread {number}"]
        assert steps == list(range(50))
    assert {metric.cell for metric in logged} == {cell.number}
    blocks = [span for span in session.spans if span.name.startswith("block ")]
    assert len(blocks) == 400
    assert {span.parent for span in blocks} == {None}


# --- forks ---


def assert_alone(kernel: Kernel) -> None:
    """One recorder, one journal, every mark once."""
    assert len(kernel.home.recorders()) == 1
    assert len(kernel.home.journals()) == 1
    numbers = [event.n for event in kernel.events() if event.n is not None]
    assert numbers == sorted(set(numbers))


FORK = """
from jupyter_green.errors import RecorderError
child = os.fork()
if child == 0:
    code = 1
    try:
        log(of_child=1)
        with measure("of child"):
            log(of_child=2)
        try:
            session()
        except RecorderError as error:
            code = 7 if "forked" in str(error) else 2
    finally:
        os._exit(code)
log(of_parent=1)
os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
WORKERS = """
import multiprocessing
def work(step):
    log(of_worker=step)
    with measure("of worker"):
        return step * 2
fork = multiprocessing.get_context("fork")
with fork.Pool(3) as pool:
    doubled = pool.map(work, range(20))
ones = [fork.Process(target=work, args=(n,)) for n in range(4)]
for one in ones: one.start()
for one in ones: one.join()
doubled[-1], [one.exitcode for one in ones]
"""


def test_fork(kernel: Kernel) -> None:
    kernel.ok("from jupyter_green import log, measure, session")
    assert kernel.ok(FORK).shown == ["7"]
    kernel.measured("1")
    assert [metric.name for metric in kernel.session().metrics] == ["of_parent"]
    assert not kernel.session().spans
    assert_alone(kernel)


def test_multiprocessing(kernel: Kernel, machine: RaplMachine) -> None:
    kernel.ok("from jupyter_green import log, measure, session")
    reply = kernel.ok(WORKERS)
    assert reply.shown == ["(38, [0, 0, 0, 0])"]
    kernel.cell(reply)
    assert not kernel.session().metrics
    assert not kernel.session().spans
    assert_alone(kernel)
    Check(kernel, machine, kernel.measured("time.sleep(0.1)"), PEAK_W).assert_right()


# --- the extension ---

REGISTERED = """(
    [str(one) for one in get_ipython().events.callbacks["pre_run_cell"]],
    [str(one) for one in get_ipython().events.callbacks["post_run_cell"]],
    [type(one).__name__ for one in get_ipython().input_transformers_cleanup],
    sorted(get_ipython().magics_manager.magics["line"]),
    sorted(get_ipython().magics_manager.magics["cell"]),
    sorted(get_ipython().magics_manager.registry),
)"""


def test_unload_leaves_no_trace(home: Home) -> None:
    with running(home, load=False) as kernel:
        kernel.ok("%load_ext storemagic")  # IPython registers magics of its own by and by
        before = kernel.ask(REGISTERED)
        kernel.load()
        recorder = kernel.recorder()
        assert kernel.ask(REGISTERED) != before
        assert kernel.ok("%unload_ext jupyter_green").silent
        assert kernel.ask(REGISTERED) == before
        until(lambda: not home.recorders(), what="the recorder's end")
        assert not list((home.data / "running").iterdir())
        assert kernel.session().state == "closed"
        assert recorder.session == kernel.journal.stem
        assert kernel.run("%%energy\n1").status == "error"
        assert kernel.ok("1 + 1").shown == ["2"]


def test_load_again(home: Home) -> None:
    with running(home) as kernel:
        first = kernel.journal
        kernel.ok("%load_ext jupyter_green")
        kernel.ok("import jupyter_green\njupyter_green.load_ipython_extension(get_ipython())")
        assert kernel.measured("'once'").status == "ok"  # and once only: asserted there
        assert len(home.journals()) == 1
        kernel.ok("%reload_ext jupyter_green")
        kernel.look_up()
        assert kernel.journal != first
        kernel.measured("'after'")
        before, after = home.sessions()
        assert (before.state, after.state) == ("closed", "open")
        assert len(home.recorders()) == 1
        result_line(kernel.ok("%%energy\ntime.sleep(0.05)"))


# --- %green ---


def test_green_off_and_on(kernel: Kernel) -> None:
    kernel.ok("'before'")
    assert "paused" in kernel.ok("%green off").out
    assert kernel.ok("time.sleep(0.2)").silent
    assert kernel.run("%%energy\n1").status == "ok"
    assert "Tracking" in kernel.ok("%green on").out
    kernel.measured("'after'")
    session = kernel.session()
    lines = [cell.first_line for cell in session.cells]
    assert lines == ["'before'", "%green off", "'after'"]
    assert session.ledger.paused.total_uj > 0.2 * 37 * 1e6
    assert not session.paused
    assert_partition(session)


def test_green_place(kernel: Kernel) -> None:
    path = kernel.home.config / "jupyter_green_config.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    assert "No place" in kernel.ok("%green place").out
    reply = kernel.ok("%green place FR")
    assert "France" in reply.out
    assert str(path) in reply.out
    after = json.loads(path.read_text(encoding="utf-8"))
    assert after["JupyterGreen"] == {**before["JupyterGreen"], "place": "FR"}
    assert "CO₂e" in result_line(kernel.ok("%%energy\ntime.sleep(0.05)"))
    assert "France" in kernel.ok("%green place").out

    reply = kernel.run("%green place Frnace")
    assert (reply.status, reply.ename) == ("error", "UsageError")
    assert "France" in reply.evalue
    kernel.ok("%green place --unset")
    assert json.loads(path.read_text(encoding="utf-8")) == before
    assert kernel.run("%green nonsense").ename == "UsageError"


def test_green_shows_the_session(green: Kernel) -> None:
    green.ok("%%energy -q --label shown-in-the-session\ntime.sleep(0.05)")
    reply = green.ok("%green")
    (bundle,) = reply.bundles
    assert "shown-in-the-session" in bundle["text/plain"]
    assert "shown-in-the-session" in bundle["text/html"]


# --- measure ---


def test_measure_block(green: Kernel) -> None:
    green.ok(
        "with measure('outer', label='L', stage='training') as outer:\n"
        "    time.sleep(0.1)\n"
        "    with measure('inner') as inner:\n"
        "        time.sleep(0.1)"
    )
    outer, inner = green.span("outer"), green.span("inner")
    assert (outer.tags.label, outer.tags.stage) == ("L", "training")
    assert inner.parent == outer.span
    assert outer.parent is None
    assert outer.duration_s > inner.duration_s >= 0.1
    assert green.ask("outer.energy_j > inner.energy_j > 0")
    assert green.ask("outer.duration_s") == pytest.approx(outer.duration_s)
    assert outer.energy.energy_j == pytest.approx(green.ask("outer.energy_j"))
    assert " J · " in green.ok("outer").shown[0]


def test_measure_function(green: Kernel) -> None:
    green.ok(
        "@measure('decorated')\n"
        "def double(x):\n"
        "    'Doc.'\n"
        "    return 2 * x\n"
        "@measure('asynchronous')\n"
        "async def later(x):\n"
        "    import asyncio\n"
        "    await asyncio.sleep(0.05)\n"
        "    return x"
    )
    doubled = green.ok("[double(n) for n in range(3)], double.__doc__")
    assert doubled.shown == ["([0, 2, 4], 'Doc.')"]
    assert green.ok("await later(5)").shown == ["5"]
    assert green.span("asynchronous").duration_s >= 0.05
    assert len(green.spans("decorated")) == 3


def test_measure_with_an_error(green: Kernel) -> None:
    reply = green.run("with measure('fails'):\n    1 / 0")
    assert reply.ename == "ZeroDivisionError"
    assert (green.span("fails").status, green.span("fails").error) == ("error", "ZeroDivisionError")
    message = green.send("with measure('stopped'):\n    say('inside')\n    time.sleep(60)")
    until((green.home.work / "inside").exists)
    green.interrupt()
    green.reply(message)
    assert green.span("stopped").status == "interrupted"


def test_measure_misused(green: Kernel) -> None:
    reply = green.run("with measure('twice') as one: pass\nwith one: pass")
    assert reply.ename == "RecorderError"
    reply = green.run("measure('never').energy_j")
    assert reply.ename == "RecorderError"


def test_measure_across_cells(green: Kernel) -> None:
    green.ok("across = measure('across').__enter__()")
    green.ok("time.sleep(0.05)")
    green.ok("across.__exit__(None, None, None)")
    span = green.span("across")
    assert span.duration_s >= 0.05
    assert span.energy.total_uj


# --- log ---


def test_log(green: Kernel) -> None:
    cell = green.measured(
        "import numpy\n"
        "log(f1_float=numpy.float32(0.5), int_of_numpy=numpy.int64(3), of_array=numpy.array(2.5))\n"
        "log({'val/acc': True}, step=numpy.int64(4), run='r')\n"
        "log(odd_nan=float('nan'), odd_inf=float('inf'), odd_minus=-float('inf'))\n"
        "log(mystery=1, direction='lower')"
    )
    metrics = {metric.name: metric for metric in green.session().metrics_of(cell.number)}
    assert metrics["f1_float"].value == 0.5
    assert metrics["f1_float"].direction == "higher"
    assert metrics["int_of_numpy"].value == 3
    assert metrics["of_array"].value == 2.5
    val = metrics["val/acc"]
    assert (val.value, val.step, val.run, val.direction) == (1.0, 4.0, "r", "higher")
    assert metrics["odd_nan"].value != metrics["odd_nan"].value
    assert metrics["odd_inf"].value == float("inf")
    assert metrics["odd_minus"].value == -float("inf")
    assert metrics["mystery"].direction == "lower"
    assert all(metric.session_uj for metric in metrics.values())


@pytest.mark.parametrize(
    "call",
    [
        "log(x='high')",
        "log(x=None)",
        "log(x=[1, 2])",
        "log(x=numpy.array([1.0, 2.0]))",
        "log(x=1, step='first')",
        "log(x=1, direction='up')",
        "log(x=1j)",
        "log(x=10**400)",
        "log(x=10**5000)",
    ],
)
def test_log_of_what_is_no_number(green: Kernel, call: str) -> None:
    reply = green.run(f"import numpy\n{call}")
    assert reply.ename == "MetricError", reply.evalue
    assert green.cell(reply).status == "error"


def test_very_many_metrics(green: Kernel) -> None:
    """Two megabytes of names: more than any pipe holds at once."""
    cell = green.measured("log({f'many {n} {\"x\" * 400}': n for n in range(4000)})")
    assert len(green.session().metrics_of(cell.number)) == 4000
    assert green.measured("1").status == "ok"


def test_names_are_cut(green: Kernel) -> None:
    """Every mark carries its label; a megabyte of it helps nobody."""
    cell = green.measured(f"%%energy -q --label {'l' * 100_000}\nlog(1 and {{'m' * 10**6: 1}})")
    assert cell.label == "l" * 500
    (metric,) = green.session().metrics_of(cell.number)
    assert metric.name == "m" * 500


# --- what users do to the process they share with us ---


def test_functions_of_the_system_that_a_cell_replaces(green: Kernel) -> None:
    green.ok("import os\nkept = os.write")
    green.ok("os.write = lambda *a: 1 / 0")
    during = green.measured("%%energy\nlog(a=1)\ntime.sleep(0.1)")
    green.ok("os.write = kept")
    after = green.measured("time.sleep(0.1)")
    for cell in (during, after):
        assert (cell.status, cell.parent) == ("ok", None)
        assert cell.duration_s == pytest.approx(0.1, abs=0.05)


def test_cell_after_a_burst_of_marks(home: Home) -> None:
    """The model on a busy recorder: a boundary between two samples is known all the same."""
    home.configure(sysfs_root=str(home.work), cpu_idle_w=10, cpu_max_w=50)
    with running(home) as kernel:
        kernel.ok("from jupyter_green import log")
        kernel.ok("for i in range(30_000): log(x=i)")
        cell = kernel.measured("time.sleep(0.1)")
        assert cell.energy.missing == ()
        assert cell.energy.energy_j is not None
        assert cell.energy.energy_j >= 0.9
        assert_partition(kernel.session())


def test_log_takes_names(green: Kernel) -> None:
    reply = green.run("log('accuracy')")
    assert reply.status == "error"
    assert "log(accuracy=0.9)" in reply.everything


def test_a_cell_without_a_tag_gets_a_suggested_stage(green: Kernel) -> None:
    fit = "class Model:\n    def fit(self): pass\nModel().fit()"
    assert green.cell(green.ok(fit)).suggested_stage == "training"
    tagged = green.cell(green.ok(f"%%energy --stage evaluation -q\n{fit}"))
    assert (tagged.tags.stage, tagged.suggested_stage) == ("evaluation", None)
    assert green.cell(green.ok("print('model.fit(X)')")).suggested_stage is None
