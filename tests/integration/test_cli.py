"""The command line as a user has it: real processes, real kernels, directories of their own."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_green.cli.progress import Progress
from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "jupyter_green.cli.app"]
COMMANDS = (
    "run",
    "report",
    "compare",
    "exec",
    "list",
    "history",
    "doctor",
    "prune",
    "place",
    "techniques",
    "enable",
    "disable",
)


@dataclass
class Done:
    code: int
    out: str
    err: str


class Home:
    """A user with nothing configured, and a directory for notebooks."""

    def __init__(self, root: Path) -> None:
        self.work = root / "work"
        self.config, self.data, self.ipython = (root / n for n in ("config", "data", "ipython"))
        for directory in (self.work, self.config, self.data, self.ipython):
            directory.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "TZ": "UTC",
            "JUPYTER_CONFIG_DIR": str(self.config),
            "JUPYTER_DATA_DIR": str(self.data),
            "JUPYTER_NO_CONFIG": "",
            "IPYTHONDIR": str(self.ipython),
        }

    @property
    def sessions_dir(self) -> Path:
        return self.data / "jupyter_green"

    def sessions(self) -> list[Session]:
        return [library.load(one.path) for one in library.listed(self.sessions_dir)]

    def notebook(self, name: str, *sources: str, metadata: Mapping[str, object] = {}) -> Path:
        path = self.work / name
        cells = [new_code_cell(source) for source in sources]
        nbformat.write(new_notebook(cells=cells, metadata=dict(metadata)), path)
        return path

    def green(self, *arguments: str | Path, **environment: str) -> Done:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=self.work,
            env={**self.environment, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def one_line(done: Done) -> str:
    """What a usage error looks like."""
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(r"jupyter green: [^\n]+\n", done.err), done.err
    return done.err


def outputs(path: Path) -> list[str]:
    """The text that each cell of an executed notebook put out."""
    notebook = nbformat.read(path, as_version=4)
    return ["".join(o.get("text", o.get("ename", "")) for o in c.outputs) for c in notebook.cells]


# --- run ---


@pytest.mark.kernel
def test_run(home: Home) -> None:
    path = home.notebook(
        "train.ipynb",
        "import os, time",
        "print(os.getcwd())",
        "time.sleep(0.3)",
    )
    done = home.green("run", path)

    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if line.startswith("[") and "/3]" in line] == [
        "[1/3] import os, time",
        "[2/3] print(os.getcwd())",
        "[3/3] time.sleep(0.3)",
    ]
    assert outputs(home.work / "train.executed.ipynb") == ["", f"{home.work}\n", ""]
    assert outputs(path) == ["", "", ""]
    (session,) = home.sessions()
    assert [cell.first_line for cell in session.cells] == [
        "import os, time",
        "print(os.getcwd())",
        "time.sleep(0.3)",
    ]
    assert [cell.status for cell in session.cells] == ["ok"] * 3
    assert (session.state, session.notebook) == ("closed", str(path))
    assert 0.29 < session.cells[2].duration_s < 3
    assert done.out.startswith("train.ipynb · ")
    assert "time.sleep(0.3)" in done.out
    assert session.id in done.out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_terminal_is_a_bar() -> None:
    cells = [new_code_cell("\x1b[31mfirst"), new_code_cell("  "), new_code_cell("second")]
    terminal = Terminal()
    with Progress(new_notebook(cells=cells), terminal) as progress:
        progress.cell_begins(cells[0], 0)
        progress.cell_ended()

    assert "| 0/2 [" in terminal.getvalue()
    assert "first" in terminal.getvalue()
    assert "\x1b[31m" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


@pytest.mark.kernel
def test_run_a_notebook_that_loads_the_extension_itself(home: Home) -> None:
    path = home.notebook("own.ipynb", "%load_ext jupyter_green", "print('measured')")
    done = home.green("run", path, "--no-output")

    assert done.code == 0, done.err
    (session,) = home.sessions()
    assert [cell.first_line for cell in session.cells] == [
        "%load_ext jupyter_green",
        "print('measured')",
    ]
    assert list(home.work.iterdir()) == [path]


@pytest.mark.kernel
def test_run_keeps_what_a_failing_notebook_has_cost(home: Home) -> None:
    path = home.notebook("bad.ipynb", "x = 1", "print('so far')\n1 / 0", "print('never')")
    done = home.green("run", path, "--output", "out.ipynb")

    assert done.code == 1
    assert "ZeroDivisionError" in done.err
    assert "division by zero" in done.err
    assert "failed: ZeroDivisionError" in done.out
    (session,) = home.sessions()
    assert [cell.status for cell in session.cells] == ["ok", "error"]
    assert session.state == "closed"
    assert outputs(home.work / "out.ipynb") == ["", "so far\nZeroDivisionError", ""]


@pytest.mark.kernel
def test_run_goes_on_after_errors_on_request(home: Home) -> None:
    path = home.notebook("bad.ipynb", "1 / 0", "print('after')")
    done = home.green("run", path, "--allow-errors", "--inplace")

    assert done.code == 0, done.err
    assert outputs(path) == ["ZeroDivisionError", "after\n"]
    assert list(home.work.iterdir()) == [path]


@pytest.mark.kernel
def test_run_reports_a_kernel_that_was_killed(home: Home) -> None:
    path = home.notebook(
        "die.ipynb",
        "x = 1",
        "import os, time; time.sleep(0.4); os.kill(os.getpid(), 9)",
        "print('never')",
    )
    done = home.green("run", path)

    assert done.code == 1
    assert "jupyter green: the kernel died in cell 2 of 3\n" in done.err
    assert "Traceback" not in done.err
    (session,) = home.sessions()
    assert [cell.status for cell in session.cells] == ["ok", "kernel died"]
    assert session.state == "ended without goodbye"
    assert 0.39 < session.cells[1].duration_s < 4
    assert "kernel died" in done.out
    assert (home.work / "die.executed.ipynb").exists()


@pytest.mark.kernel
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for one process")
def test_run_is_interrupted_by_control_c(home: Home) -> None:
    path = home.notebook(
        "slow.ipynb", "import os; print(os.getpid())", "import time; time.sleep(60)"
    )
    process = subprocess.Popen(
        [*COMMAND, "run", str(path)],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[2/2]"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "jupyter green: interrupted in cell 2 of 2\n" in err
    assert "Traceback" not in err
    (session,) = home.sessions()
    assert session.cells[1].status == "interrupted"
    assert 0.3 < session.cells[1].duration_s < 5
    assert "interrupted" in out
    pid = int(outputs(home.work / "slow.executed.ipynb")[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.kernel
def test_run_ends_a_cell_that_takes_too_long(home: Home) -> None:
    path = home.notebook("slow.ipynb", "import time; time.sleep(60)")
    done = home.green("run", path, "--timeout", "1", "--no-output")

    assert done.code == 1
    assert "jupyter green: timed out in cell 1 of 1: it took longer than 1 s\n" in done.err
    (session,) = home.sessions()
    assert session.cells[0].status == "interrupted"


@pytest.mark.kernel
def test_run_says_when_the_kernel_lacks_the_package(home: Home) -> None:
    spec = home.data / "kernels" / "bare"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    blocked = home.work / "blocked"
    blocked.mkdir()
    (blocked / "jupyter_green.py").write_text("raise ImportError('not here')\n")
    (spec / "kernel.json").write_text(
        json.dumps(
            {
                "argv": argv,
                "display_name": "Bare",
                "language": "python",
                "env": {"PYTHONPATH": str(blocked)},
            }
        )
    )
    done = home.green("run", home.notebook("a.ipynb", "print(1)"), "--kernel", "bare")

    assert done.code == 2
    assert f"Install it there: {sys.executable} -m pip install jupyter-green\n" in done.err
    assert "[1/1]" not in done.err
    assert not (home.work / "a.executed.ipynb").exists()


R = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
NO_SUCH = {"kernelspec": {"name": "nirvana", "display_name": "N", "language": "python"}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "which notebook?"),
        (["run", "missing.ipynb"], "there is no file missing.ipynb"),
        (["run", "."], ". cannot be read"),
        (["run", "text.txt"], "text.txt is no notebook"),
        (["run", "list.json"], "list.json is no notebook"),
        (["run", "binary"], "binary is no notebook"),
        (["run", "r.ipynb"], "r.ipynb is written in R; only Python can be measured"),
        (["run", "unknown.ipynb"], "no kernel is called 'nirvana'; there are: python3"),
        (["run", "a.ipynb", "--kernel", "nix"], "no kernel is called 'nix'"),
        (["run", "a.ipynb", "--inplace", "--no-output"], "give one of"),
        (["run", "a.ipynb", "--output", "no/such/dir.ipynb"], "no file can be made there"),
        (["run", "a.ipynb", "--output"], "expected one argument"),
        (["run", "a.ipynb", "--timeout", "soon"], "'soon'"),
        (["run", "a.ipynb", "--timeout", "-1"], "--timeout must be above 0 s"),
        (["run", "a.ipynb", "--inplaec"], "there is no option --inplaec"),
        (["run", "a.ipynb", "b.ipynb"], "'b.ipynb'"),
        ([], "no command; there are run, report"),
        (["dance"], "no command is called 'dance'"),
        (["report"], "no session is recorded"),
        (["report", "--format", "xml"], "'xml'"),
        (["list", "extra"], "'extra'"),
        (["prune"], "say which sessions"),
        (["prune", "--older-than", "soon"], "not 'soon'"),
        (["prune", "--dry-rum"], "there is no option --dry-rum"),
        (["place", "Atlantis"], "'Atlantis'"),
        (["place", "FR", "--unset"], "not both"),
        (["enable", "--profile", "nobody"], "no IPython profile is called 'nobody'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_errors_are_one_line(home: Home, arguments: list[str], message: str) -> None:
    home.notebook("a.ipynb", "print(1)")
    home.notebook("r.ipynb", "print(1)", metadata=R)
    home.notebook("unknown.ipynb", "print(1)", metadata=NO_SUCH)
    (home.work / "text.txt").write_text("no notebook")
    (home.work / "list.json").write_text("[1, 2]")
    (home.work / "binary").write_bytes(b"\xff\xfe\x00")

    assert message in one_line(home.green(*arguments))


# --- reports ---


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with one recorded session."""
    home = Home(tmp_path_factory.mktemp("used"))
    done = home.green("run", home.notebook("train.ipynb", "x = 1", "y = 2"), "--no-output")
    assert done.code == 0, done.err
    return home


@pytest.mark.kernel
def test_report(used: Home) -> None:
    (session,) = used.sessions()
    journal = library.journal_path(used.sessions_dir, session.id)
    newest = used.green("report")

    assert newest.code == 0, newest.err
    assert newest.out.startswith("train.ipynb · ")
    assert "CO2: no place was set" in newest.out
    for name in (session.id, session.id[:-2], str(journal), "train.ipynb", "train"):
        assert used.green("report", name).out == newest.out


@pytest.mark.kernel
def test_report_as_json_and_csv(used: Home) -> None:
    (session,) = used.sessions()
    report = json.loads(used.green("report", "--format", "json").out)
    done = used.green("report", "--format", "csv", "--output", "cells.csv")

    assert report["session"]["id"] == session.id
    assert report["total"]["energy_j"] == session.total.energy_j
    assert done.out == ""
    assert len((used.work / "cells.csv").read_text().splitlines()) == 1 + len(session.cells)


@pytest.mark.kernel
def test_report_for_another_place_and_pue(used: Home) -> None:
    def grams(*arguments: str) -> float:
        done = used.green("report", "--format", "json", *arguments)
        assert done.code == 0, done.err
        found: float = json.loads(done.out)["total"]["co2_g"]
        return found

    assert grams("--place", "PL") > 5 * grams("--place", "FR") > 0
    assert grams("--place", "FR", "--pue", "1.5") == pytest.approx(1.5 * grams("--place", "FR"))
    assert "at least 1.0" in one_line(used.green("report", "--pue", "0.5"))


@pytest.mark.kernel
def test_report_on_another_basis_and_with_a_price(used: Home) -> None:
    def told(*options: str) -> dict[str, Any]:
        done = used.green("report", "--format", "json", *options)
        assert done.code == 0, done.err
        return dict(json.loads(done.out))

    paris = ("--place", "gcp:europe-west9")
    grams = {
        basis: told(*paris, "--basis", basis)["total"]["co2_g"] for basis in ("lifecycle", "direct")
    }
    assert 0 < grams["direct"] < grams["lifecycle"]
    cost = told("--price", "0.5", "--currency", "CHF")["total"]
    assert cost["cost"] == pytest.approx(cost["energy_j"] / 3.6e6 * 0.5)
    assert "no direct carbon intensity" in one_line(
        used.green("report", "--place", "FR", "--basis", "direct")
    )
    assert "--basis needs a --place" in one_line(used.green("report", "--basis", "direct"))
    assert "--currency needs a --price" in one_line(used.green("report", "--currency", "CHF"))
    assert "'Atlantis'" in one_line(used.green("report", "--place", "Atlantis"))


@pytest.mark.kernel
def test_a_reader_that_has_enough_is_no_error(used: Home) -> None:
    process = subprocess.Popen(
        [*COMMAND, "report", "--format", "json"],
        env=used.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=30) == 141
    assert errors == b""


@pytest.mark.kernel
def test_a_terminal_without_signs_gets_no_traceback(used: Home) -> None:
    done = used.green("report", PYTHONIOENCODING="ascii")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("train.ipynb ? ")


@pytest.mark.kernel
def test_list_and_prune(home: Home, used: Home) -> None:
    (session,) = used.sessions()
    listed = used.green("list")
    assert listed.code == 0, listed.err
    notebook = f"{used.work.name}/train.ipynb"
    assert re.search(rf"{session.id} .* closed .* …?[^ ]*/{notebook}\n", listed.out)

    assert "No session is recorded" in home.green("list").out
    source = library.journal_path(used.sessions_dir, session.id)
    copy = library.journal_path(home.sessions_dir, session.id)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes())
    assert home.green("prune", "--older-than", "1d").out == "0 sessions deleted.\n"
    old = time.time() - 3 * 86_400
    os.utime(copy, (old, old))
    assert home.green("prune", "--older-than", "4d").out == "0 sessions deleted.\n"
    dry = home.green("prune", "--older-than", "2d", "--dry-run")
    assert dry.out == f"{session.id}\n1 session would be deleted.\n"
    assert copy.exists()
    assert home.green("prune", "--older-than", "2d").out == f"{session.id}\n1 session deleted.\n"
    assert not copy.exists()


# --- settings ---


def test_place(home: Home) -> None:
    assert home.green("place").out == (
        "No place is set, so CO2 is not shown: jupyter green place FR\n"
    )
    done = home.green("place", "FR")
    assert done.code == 0, done.err
    assert f"Written to {home.config}" in done.out
    assert re.search(r"^France: [\d.]+ g CO2e/kWh \(20\d\d, lifecycle\)$", done.out, re.M)
    assert home.green("place").out.startswith("France: ")
    assert home.green("place", "--unset").code == 0
    assert "No place is set" in home.green("place").out


def test_a_place_that_is_unknown_is_not_written(home: Home) -> None:
    one_line(home.green("place", "Atlantis"))
    assert list(home.config.iterdir()) == []


def test_problems_with_settings_are_told(home: Home) -> None:
    (home.config / "jupyter_green_config.json").write_text('{"JupyterGreen": {"pue": 0.1}}')
    done = home.green("place")

    assert done.code == 0
    assert "pue must be at least 1.0" in done.err


def startup_file(home: Home, profile: str = "default") -> Path:
    return home.ipython / f"profile_{profile}" / "startup" / "50-jupyter-green.py"


def test_enable_and_disable(home: Home) -> None:
    path = startup_file(home)
    assert "nothing to do" in home.green("disable").out
    assert not path.exists()

    done = home.green("enable")
    assert done.code == 0, done.err
    assert str(path) in done.out
    written = path.read_text()
    assert home.green("enable").out == f"Already enabled: {path}\n"
    assert path.read_text() == written

    neighbour = path.with_name("00-mine.py")
    neighbour.write_text("x = 1\n")
    done = home.green("disable")
    assert (done.code, path.exists()) == (0, False)
    assert neighbour.read_text() == "x = 1\n"
    assert "nothing to do" in home.green("disable").out


def test_enable_and_disable_leave_the_files_of_others(home: Home) -> None:
    path = startup_file(home)
    path.parent.mkdir(parents=True)
    path.write_text("mine = True\n")

    assert "not written by jupyter green" in one_line(home.green("enable"))
    assert "not written by jupyter green" in one_line(home.green("disable"))
    assert path.read_text() == "mine = True\n"


def test_enable_in_another_profile(home: Home) -> None:
    (home.ipython / "profile_work").mkdir()
    assert home.green("enable", "--profile", "work").code == 0
    assert startup_file(home, "work").exists()
    assert not startup_file(home).exists()


def ipython(home: Home, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code],
        cwd=home.work,
        env={**home.environment, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


SHOW = (
    "print('loaded', 'jupyter_green' in get_ipython().extension_manager.loaded, sorted(globals()))"
)


def test_enabled_shells_load_the_extension_and_nothing_else(home: Home) -> None:
    before = ipython(home, SHOW)
    assert home.green("enable").code == 0
    after = ipython(home, SHOW)

    assert before.stdout.startswith("loaded False")
    assert after.stdout.startswith("loaded True"), after.stderr
    assert after.stderr == ""
    assert after.stdout.replace("True", "False", 1) == before.stdout


def test_enabled_shells_do_without_the_package(home: Home) -> None:
    assert home.green("enable").code == 0
    # The package must be out of reach also where it is installed.
    hide = home.work / "sitecustomize.py"
    hide.write_text(
        "import importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'jupyter_green' else real(name, *a)\n"
    )
    done = ipython(home, SHOW, PYTHONPATH=str(home.work))

    assert done.stdout.startswith("loaded False"), done.stderr
    assert done.stderr == ""


# --- help ---


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(home: Home, command: str) -> None:
    done = home.green(command, "--help")

    assert (done.code, done.err) == (0, "")
    assert re.search(rf"^    jupyter green {command}\b", done.out, re.M)


def test_help_lists_the_commands(home: Home) -> None:
    done = home.green("--help")

    assert done.code == 0
    assert [line for line in done.out.splitlines() if line in COMMANDS] == list(COMMANDS)


def test_version(home: Home) -> None:
    from jupyter_green import __version__

    assert home.green("--version").out == f"{__version__}\n"
