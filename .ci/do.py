#!/usr/bin/env python3
"""Sets up an environment for this checkout, and runs the project in it.

    python3 .ci/do.py tour      open JupyterLab on the tour, with the energy panel beside it
    python3 .ci/do.py test      ruff, mypy, TypeScript's checks and all tests
    python3 .ci/do.py notebooks run all notebooks, and hold what they claim to what they measured
    python3 .ci/do.py bench     compare our own cost with that of our peers
    python3 .ci/do.py soak      the long runs: leaks, drift, a killed recorder
    python3 .ci/do.py screenshots   make the README's pictures

`tour --headless` runs notebooks/tour.ipynb without JupyterLab and shows what each of its cells
cost; so does `tour` on a machine without a display, unless it is `tour --lab`.

`notebooks --keep [NAME ...]` runs them, or these, and puts what they show into the checkout.

What follows the command is passed on: to JupyterLab (headless: to `jupyter green run`) for the
tour, to pytest for test, notebooks and soak, to the benchmarks for bench. Paths count from the
project's root.

    python3 .ci/do.py tour --port 9000
    python3 .ci/do.py test -k floors

The environment is .venv (.venv-bench for bench) at the project's root. It is made on the first run
and kept; delete it to start afresh.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = (3, 11)


def hand_over_to_a_newer_python() -> None:
    for name in ("python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        # A name on the PATH may be a version manager's stub for a Python that is not there: try it.
        if path and not subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL):
            os.execv(path, [path, str(Path(__file__).resolve()), *sys.argv[1:]])
    version = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"do.py: needs Python 3.11 or newer, this is {version}: {sys.executable}")


# Older Pythons must be able to read the whole file to get here: no newer *syntax* anywhere in it.
if sys.version_info < NEEDED:
    hand_over_to_a_newer_python()


# And its neighbours only from here on.
import lab_tour  # noqa: E402
from environment import ROOT, SetUpError, has_c_compiler, run, say, set_up  # noqa: E402

AT_ONCE = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
EXTRAS_OF_TESTS = ["tour", "test", "frameworks", "torch"]


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(__doc__.strip())
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"do.py: there is no command {name!r}\n\n{__doc__.strip()}", file=sys.stderr)
        return 2
    try:
        return COMMANDS[name](rest)
    except SetUpError as error:
        print(f"do.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


# The commands


def tour(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(__doc__.strip())
        return 0
    headless, lab = "--headless" in arguments, "--lab" in arguments
    rest = [word for word in arguments if word not in ("--headless", "--lab")]
    seen = lab_tour.has_a_browser()
    if not (headless or lab or seen):
        say("no display or no browser here: without JupyterLab (tour --lab starts it nevertheless)")
    if headless or not (lab or seen):
        return tour_headless(rest)
    venv = set_up(".venv", ["lab", "tour"])
    say("opening JupyterLab on a copy of notebooks/tour.ipynb; Ctrl-C ends it")
    return lab_tour.run_lab(venv, [*rest, *([] if seen else ["--no-browser"])])


def tour_headless(arguments: list[str]) -> int:
    venv = set_up(".venv", ["tour"])
    say("running notebooks/tour.ipynb")
    return run(venv, ["jupyter", "green", "run", "notebooks/tour.ipynb", *arguments])


def test(arguments: list[str]) -> int:
    venv = set_up(".venv", EXTRAS_OF_TESTS)
    failed = [] if has_c_compiler(venv) else ["C compiler"]
    frontend = {
        "jlpm install": ["jlpm", "install", "--immutable"],
        "jlpm types:check": ["jlpm", "types:check"],
        "jlpm lint": ["jlpm", "lint"],
        "jlpm test": ["jlpm", "test"],
    }
    backend = {
        "ruff check": ["python", "-m", "ruff", "check", "."],
        "ruff format --check": ["python", "-m", "ruff", "format", "--check", "."],
        "mypy": ["python", "-m", "mypy"],
        "browser": ["python", "-m", "tests.browser.chrome"],
        # Last, so that its summary is what one sees.
        **pytest(arguments),
    }
    failed += failures(venv, frontend, ROOT / "labextension")
    failed += failures(venv, backend, ROOT)
    if failed:
        say("FAILED: " + ", ".join(failed))
    return 1 if failed else 0


def pytest(arguments: list[str]) -> dict[str, list[str]]:
    """All tests in two steps, or in one what the arguments ask for.

    What waits for pages and processes runs three at a time, in the order of the folders: the short
    unit tests come last, so that no worker is left with a long file. What holds figures of real
    kernels to a truth in time runs alone, because on a busy machine it would be held to less.
    """
    command = ["python", "-m", "pytest"]
    if arguments:
        return {"pytest": [*command, *arguments]}
    return {
        "pytest, what runs alone": [*command, "-m", "alone"],
        "pytest, the rest": [*command, "-m", "not alone", *AT_ONCE],
    }


def failures(venv: Path, steps: dict[str, list[str]], place: Path) -> list[str]:
    """Runs all steps; the names of those that failed."""
    failed = []
    for name, command in steps.items():
        say(name)
        if run(venv, command, place) != 0 and not passes_again(venv, name, command, place):
            failed.append(name)
    return failed


def passes_again(venv: Path, name: str, command: list[str], place: Path) -> bool:
    """Whether all tests that failed pass when repeated; for the steps that run all tests.

    Many of them hold real processes to a truth in time, and a shared machine may stop for a second.
    What fails twice has failed, and what failed once is named in the step's own summary above.
    """
    if name not in pytest([]):
        return False
    say(f"{name}: what failed, once more")
    again = ["--last-failed", "--last-failed-no-failures", "none", "--maxfail", "1"]
    if run(venv, [*command, *again], place) != 0:
        return False
    say(f"{name}: passed when repeated; the first run's summary names what had failed")
    return True


def notebooks(arguments: list[str]) -> int:
    venv = set_up(".venv", EXTRAS_OF_TESTS)
    if "--keep" in arguments:
        names = [word for word in arguments if word != "--keep"]
        say("running notebooks, and keeping what they show")
        return run(venv, ["python", "-m", "tests.notebooks.keep", *names])
    say("running all notebooks, one after the other")
    return run(venv, ["python", "-m", "pytest", "tests/notebooks", *arguments])


def bench(arguments: list[str]) -> int:
    venv = set_up(".venv-bench", ["bench"])
    say("running the benchmarks")
    return run(venv, ["python", "-m", "tests.benchmarks", *arguments])


def soak(arguments: list[str]) -> int:
    venv = set_up(".venv", ["tour", "test"])
    say("running the long runs")
    # The usual limit of time per test is far too short here.
    command = ["python", "-m", "pytest", "--timeout=0", "tests/benchmarks/soak.py"]
    return run(venv, [*command, *arguments])


def screenshots(arguments: list[str]) -> int:
    venv = set_up(".venv", ["tour", "test"])
    return run(venv, ["python", "-m", "tests.browser.screenshots", *arguments])


COMMANDS = {
    "tour": tour,
    "test": test,
    "notebooks": notebooks,
    "bench": bench,
    "soak": soak,
    "screenshots": screenshots,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
