"""The rows of stages of a journal as plain JSON, and where those lie that are expected.

``nested_stages.ndjson`` beside it tells of all that can be told: it is no journal of the digests,
but is read like those.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_green.errors import NewerFormat, NotAJournal
from jupyter_green.insight.stages import by_stage
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.golden import digest

HERE = Path(__file__).parent
EXPECTED = HERE / "stages.json"


def journals() -> list[Path]:
    """Those of the digests, and those of the stages."""
    return [*digest.journals(), *sorted(HERE.glob("*.ndjson"))]


def rows(data: bytes) -> dict[str, Any]:
    """What a reader must make of a journal's stages; ``orphan`` as in the digest."""
    fold = Fold()
    try:
        fold.feed_lines(data)
        told = {"session": _rows(fold.session())}
    except (NewerFormat, NotAJournal) as error:
        return {"refused": type(error).__name__}
    if fold.ended is None:
        told["orphan"] = _rows(fold.session(orphan=True))
    return told


def _rows(session: Session) -> list[dict[str, Any]]:
    return [
        {
            "name": stage.name,
            "suggested": stage.suggested,
            "total_uj": stage.total_uj,
            "bound_uj": round(stage.bound_uj),
            "seconds": round(stage.seconds, 6),
            "runs": stage.runs,
        }
        for stage in by_stage(session)
    ]
