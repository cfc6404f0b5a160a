"""The notebooks, what they showed when they were kept, and the sessions that this came from.

Of each notebook two things are kept: its outputs, in the notebook itself, and the journal of the
run that made them, in ``notebooks/sessions``. The cell with the tag ``claims`` says what the run
showed and reads nothing but ``session()``, so that it can be run again on the journal alone.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
SESSIONS = NOTEBOOKS / "sessions"
NAMES = tuple(
    sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb") if not path.stem.endswith(".executed"))
)
CLAIMS = "claims"


@dataclass(frozen=True)
class Kept:
    """A notebook with outputs, and the session that they came from."""

    notebook: Any
    """Of nbformat."""
    session: Session

    @property
    def code(self) -> list[Any]:
        """The cells with code in them."""
        return [one for one in self.notebook.cells if one.cell_type == "code" and one.source]

    @property
    def claims(self) -> Any:
        """The cell that says what the run has shown."""
        (cell,) = (one for one in self.code if CLAIMS in one.metadata.get("tags", ()))
        return cell

    @property
    def claimed(self) -> str:
        """What it said."""
        return printed(self.claims)

    @property
    def recomputed(self) -> str:
        """What it says of the session now, with nothing else to read."""
        return run_claims(self.claims.source, self.session)


def kept(name: str) -> Kept:
    """A notebook of this project."""
    return read(NOTEBOOKS / f"{name}.ipynb", SESSIONS / f"{name}.ndjson")


def read(notebook: Path, journal: Path) -> Kept:
    """Any notebook, with the journal of its run."""
    return Kept(nbformat.read(notebook, as_version=4), library.load(journal))


def printed(cell: Any) -> str:
    """What a cell wrote to its standard output."""
    return "".join(
        one.text for one in cell.outputs if one.output_type == "stream" and one.name == "stdout"
    )


def run_claims(source: str, session: Session) -> str:
    """Run the cell where ``session()`` is this one.

    Raises:
        NameError: it reads a variable of another cell.
    """
    code = compile(_without_import(source), "<claims>", "exec")
    out = io.StringIO()
    with redirect_stdout(out):
        exec(code, {"session": lambda: session})
    return out.getvalue()


def _without_import(source: str) -> ast.Module:
    """Without what would bring the session of this process."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "jupyter_green":
            node.names = [one for one in node.names if one.name != "session"]
    tree.body = [one for one in tree.body if not isinstance(one, ast.ImportFrom) or one.names]
    return tree


def texts(cell: Any) -> Iterator[str]:
    """All that a person reads below a cell, as plain text."""
    for one in cell.outputs:
        if one.output_type == "stream":
            yield one.text
        elif one.output_type in ("display_data", "execute_result"):
            yield str(one.data.get("text/plain", ""))
