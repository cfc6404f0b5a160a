"""Examines from a process of its own: a kernel shall not load a driver's library to be examined."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from jupyter_green.doctor.examine import examine
from jupyter_green.doctor.findings import Examination
from jupyter_green.errors import RecorderError
from jupyter_green.recorder.client import PACKAGE_ROOT
from jupyter_green.settings import Settings

LONGEST_S = 120.0
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from jupyter_green.doctor.apart import main; sys.exit(main())"
)


class Request(Struct, frozen=True):
    """What the child is to examine."""

    settings: Settings
    problems: tuple[str, ...]


def examine_apart(settings: Settings, problems: Sequence[str] = ()) -> Examination:
    """As :func:`~.examine.examine`, from a child process.

    Raises:
        RecorderError: no process can be started here, or it failed.
    """
    request = msgspec.json.encode(Request(settings, tuple(problems)))
    command = [sys.executable, "-P", "-c", _BOOT, PACKAGE_ROOT]
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, timeout=LONGEST_S, check=False
        )
    except OSError as error:
        raise RecorderError(f"no process can be started to examine the machine: {error}") from None
    except subprocess.TimeoutExpired:
        raise RecorderError(f"examining the machine took over {LONGEST_S:g} s") from None
    try:
        return msgspec.json.decode(done.stdout, type=Examination)
    except msgspec.DecodeError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        told = f": {last[0]}" if last else f" (exit status {done.returncode})"
        raise RecorderError(f"the machine could not be examined{told}") from None


def main() -> int:
    """The child."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    found = examine(request.settings, problems=request.problems)
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
