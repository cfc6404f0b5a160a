"""The environments of this checkout: making them, keeping them up to date, running things there."""

import hashlib
import json
import locale
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from frontend import Frontend

ROOT = Path(__file__).resolve().parent.parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# In each environment: what was installed there. "{}" while it is in the making, so that an
# interrupted run shows.
STAMP = ".made-by-do.json"


class SetUpError(Exception):
    """The environment cannot be made; the message names the remedy."""


def set_up(name: str, extras: list[str]) -> Path:
    """The environment `name` with the project and `extras` in it; quick where nothing changed."""
    venv = ROOT / name
    try:
        bring_up_to_date(venv, set(extras))
    except OSError as error:
        raise SetUpError(
            f"cannot write the environment {venv}: {error.strerror or error}. "
            "Use a copy of the project in a folder where you may write."
        ) from error
    return venv


def bring_up_to_date(venv: Path, extras: set[str]) -> None:
    # The place counts because the scripts in an environment hold their own path.
    base = {"python": sys.version, "place": str(ROOT)}
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    frontend = Frontend(ROOT)
    sources = frontend.fingerprint()
    have = read_stamp(venv)
    if not program(venv, "python").exists() or any(have.get(key) != base[key] for key in base):
        make_environment(venv)
        have = {}
    installed = set(have.get("extras", []))
    if have.get("project") == project and extras <= installed:
        if have.get("frontend") == sources and frontend.is_current():
            return
        what = ["--no-deps", "--editable", "."]
    else:
        what = ["--editable", f".[{','.join(sorted(extras | installed))}]"]

    extras |= installed
    write_stamp(venv, {})
    say(f"installing {what[-1]} (the first time takes a minute or two)")
    if pip_install(venv, *what):
        # What pip could not find it did not begin to install: the environment is what it was.
        write_stamp(venv, have)
        raise SetUpError(
            "pip could not install the project, see above: is there a network? "
            f"If that is not it, delete {venv.name} and try again."
        )
    made = {"project": project, "frontend": sources, "extras": sorted(extras)}
    write_stamp(venv, {**base, **made})


def make_environment(venv: Path) -> None:
    # Not sys.executable: that may lie in the very environment which is about to be replaced.
    python = getattr(sys, "_base_executable", None) or sys.executable
    makers = [
        [python, "-m", "venv"],
        [python, "-m", "virtualenv"],
        ["virtualenv", "--python", python],
        ["uv", "venv", "--quiet", "--seed", "--allow-existing", "--python", python],
    ]
    complaints = []
    say(f"making the environment {venv.name}")
    for maker in makers:
        start_afresh(venv)
        complaint = complaint_of([*maker, str(venv)])
        if complaint is None:
            return
        complaints.append(complaint)
    if "ensurepip" not in complaints[0] and "No module named" not in complaints[0]:
        print(complaints[0], file=sys.stderr)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise SetUpError(
        f"{python} cannot make a virtual environment: install its venv module (Debian and Ubuntu: "
        f"apt install python{version}-venv), or virtualenv, or uv."
    )


def start_afresh(venv: Path) -> None:
    if (venv / STAMP).is_file() and not venv.is_symlink():
        shutil.rmtree(venv)
    elif os.path.lexists(venv):
        # Somebody else's work: not ours to delete.
        names = (venv.with_name(f"{venv.name}-{number}") for number in range(1, 1000))
        aside = next(path for path in names if not os.path.lexists(path))
        venv.rename(aside)
        say(f"{venv.name} was not made by this script: moved to {aside.name}")
    venv.mkdir()
    write_stamp(venv, {})


def read_stamp(venv: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((venv / STAMP).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def write_stamp(venv: Path, content: dict[str, Any]) -> None:
    (venv / STAMP).write_text(json.dumps(content, indent=1), encoding="utf-8")


def pip_install(venv: Path, *what: str) -> int:
    options = ["--quiet", "--disable-pip-version-check", *pytorch_without_cuda(what)]
    return run(venv, ["python", "-m", "pip", "install", *options, *what])


def pytorch_without_cuda(what: tuple[str, ...]) -> list[str]:
    """Where PyTorch publishes builds for processors alone: the usual ones are ten times as large.

    An index that cannot be reached would keep pip waiting for every package.
    """
    if not any("torch" in word for word in what):
        return []
    try:
        urllib.request.urlopen(CPU_INDEX, timeout=3).close()
    except (OSError, ValueError):
        return []
    return ["--extra-index-url", CPU_INDEX]


def has_c_compiler(venv: Path) -> bool:
    """The tests compile small stand-ins for hardware; without a compiler, a wheel brings one."""
    if os.environ.get("CC") or any(map(shutil.which, ("cc", "gcc", "clang"))):
        return True
    probe = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('ziglang'))"
    if run(venv, ["python", "-c", probe]) == 0:
        return True
    say("there is no C compiler: installing the ziglang wheel")
    return pip_install(venv, "ziglang") == 0


# Running things


def program(venv: Path, name: str) -> Path:
    return venv / "Scripts" / f"{name}.exe" if os.name == "nt" else venv / "bin" / name


def run(venv: Path, command: list[str], place: Path = ROOT) -> int:
    """Runs a program of the environment, at the project's root or elsewhere; the exit code."""
    name, *arguments = command
    interrupts = []
    # Ctrl-C reaches the child too, which has things to save and to say; subprocess.run by itself
    # would kill it after a quarter of a second.
    before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    try:
        code = subprocess.run(
            [str(program(venv, name)), *arguments], cwd=place, env=environment(venv), check=False
        ).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code


def environment(venv: Path) -> dict[str, str]:
    """As after `activate`, and without what would let other installations shine through."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")
    variables = {key: value for key, value in os.environ.items() if key not in foreign}
    path = os.pathsep.join([str(program(venv, "python").parent), variables.get("PATH", os.defpath)])
    if os.name == "posix" and locale.getencoding().lower() != "utf-8":
        # Python reads the path of an editable install in the locale's encoding; pip wrote UTF-8.
        variables["LC_ALL"] = "C.UTF-8"
    return {**variables, "VIRTUAL_ENV": str(venv), "PATH": path, "PIP_USER": "0"}


def complaint_of(command: list[str]) -> str | None:
    """What a program printed when it failed, or None if all went well."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError as error:
        return str(error)
    return (done.stdout + done.stderr) if done.returncode else None


def say(text: str) -> None:
    print("do.py:", text, flush=True)
