"""Execute notebooks, and keep what they show: ``python -m tests.notebooks.keep [NAME ...]``.

Their outputs go into the notebooks themselves, and each run's journal into ``notebooks/sessions``,
small and without what concerns nobody else: the power samples that no claim needs, the names of
host and directories. Nothing is kept of a notebook that fails, takes too long, or says something
that its journal does not carry. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from msgspec import structs

from jupyter_green import events
from jupyter_green.sessions import library

from .kept import NAMES, NOTEBOOKS, SESSIONS, Kept, run_claims
from .runs import LIMIT_S, run

SAMPLES_APART_S = 2.0
"""Between two power samples that are kept: enough for a power line."""


class NotKept(Exception):
    """What was executed must not stand in the project."""


def keep(name: str) -> str:
    """Execute and keep one notebook; what to tell of it.

    Raises:
        RunFailed: it does not run.
        NotKept: it took too long, or its claims are not in its session.
    """
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        one, journal = run(name, place)
        took_s = one.session.duration_s
        if took_s > LIMIT_S:
            raise NotKept(f"{name} took {took_s:.0f} s, which is more than {LIMIT_S}")
        small = place / "small.ndjson"
        small.write_bytes(smaller(journal.read_bytes(), f"notebooks/{name}.ipynb"))
        told = run_claims(one.claims.source, library.load(small))
        if told != one.claimed:
            raise NotKept(f"{name} said\n{one.claimed}\nand its journal says\n{told}")
        SESSIONS.mkdir(exist_ok=True)
        (SESSIONS / f"{name}.ndjson").write_bytes(small.read_bytes())
    nbformat.write(tidy(one), NOTEBOOKS / f"{name}.ipynb")
    return f"{name}: {took_s:.0f} s, {', '.join(one.session.total.provenance)}"


def smaller(journal: bytes, notebook: str) -> bytes:
    """The journal without most of its power samples, and without names of this machine."""
    kept, sampled_s = [], -SAMPLES_APART_S
    for line in journal.splitlines():
        event = events.decode(line)
        if isinstance(event, events.PowerSampled):
            if event.t - sampled_s < SAMPLES_APART_S:
                continue
            sampled_s = event.t
        elif isinstance(event, events.SessionStarted):
            machine = structs.replace(event.machine, system=event.machine.system.partition(" ")[0])
            event = structs.replace(
                event, host="a machine", boot_id="", pid=1, notebook=notebook, machine=machine
            )
        kept.append(events.encode(event))
    return b"".join(kept)


def tidy(one: Kept) -> Any:
    """The notebook with its outputs, and without what differs from run to run for no reason."""
    notebook = one.notebook
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in one.code:
        cell.metadata.pop("execution", None)
    return notebook


def main(names: list[str]) -> int:
    """Keep these notebooks, or all."""
    failed = 0
    for name in names or NAMES:
        try:
            print(keep(name), flush=True)
        except Exception as error:
            failed += 1
            print(f"NOT KEPT: {error}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main([Path(name).stem for name in sys.argv[1:]]))
