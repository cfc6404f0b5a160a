"""Views of a session: every one takes a Session, or several as one Merged, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_green.sessions.model import Session

if TYPE_CHECKING:
    from jupyter_green.report.charts import Charts


def _charts(session: Session) -> Charts:
    from jupyter_green.report.charts import Charts  # noqa: PLC0415  (loads on use)

    return Charts(session)


# Sessions know nothing of views: who has any view gives them the pictures.
Session.charts = property(_charts)
