"""The pictures of a session as Altair charts: ``session().charts.power()``.

Altair is loaded on use.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from jupyter_green.report import vega, vega_parts
from jupyter_green.report.studies import compared_drawn
from jupyter_green.sessions.model import Session

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.Chart | alt.LayerChart


class Charts:
    """The pictures of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def power(self) -> Chart:
        """Watts by source over time; cells shaded behind them."""
        return chart(vega.power(self._session))

    def cells(self) -> Chart:
        """Energy of the cells that cost most; the lines are their bounds."""
        return chart(vega.cells(self._session))

    def sources(self) -> Chart:
        """Energy by counter."""
        return chart(vega.sources(self._session))

    def stages(self) -> Chart:
        """Energy by lifecycle stage."""
        return chart(vega.stages(self._session))

    def ledger(self) -> Chart:
        """Where the session's energy went."""
        return chart(vega.ledger(self._session))

    def accuracy(self, metric: str | None = None) -> Chart:
        """A logged metric over the energy that its run took.

        Args:
            metric: its name; by default the one that was logged last and should be high.
        """
        return chart(vega.accuracy(self._session, metric))

    def labels(self) -> Chart:
        """Every run by label, with their means and intervals; of two labels or more.

        Energy, or time where the energy is modelled or not known.
        """
        return chart(compared_drawn.of_session(self._session))

    def __repr__(self) -> str:
        return f"<Charts of session {self._session.id}: {', '.join(_NAMES)}>"


_NAMES = ("power", "cells", "sources", "stages", "ledger", "accuracy", "labels")


def chart(spec: vega_parts.Spec) -> Chart:
    """An Altair chart that shows itself as SVG: Altair's own way takes scripts from the network."""
    import altair as alt  # noqa: PLC0415

    made: Chart = _offline_kind(alt.LayerChart if "layer" in spec else alt.Chart).from_dict(spec)
    return made


@cache
def _offline_kind(kind: Any) -> Any:
    return type(kind.__name__, (_Offline, kind), {"__doc__": kind.__doc__})


class _Offline:
    """How a chart shows itself in a notebook, unless the user chose one of Altair's renderers."""

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        import altair as alt  # noqa: PLC0415

        if alt.renderers.active != "default":
            return super()._repr_mimebundle_(*args, **kwargs)  # type: ignore[misc]
        return _shown(self.to_dict()), {}  # type: ignore[attr-defined]


_PAGE = (
    '<div class="jupyter-green-chart">'
    "<style>.jupyter-green-chart svg { max-width: 100%; height: auto; overflow: visible }"
    ".jupyter-green-chart text { font-family: Arial, Helvetica, 'Liberation Sans', sans-serif }"
    ".jupyter-green-chart p { display: none }</style>"
    # What a notebook that is not trusted leaves of all this.
    "<p>A chart: trust the notebook or run the cell to see it. Its words:</p>"
    "{drawing}</div>"
)


def _shown(spec: vega_parts.Spec) -> dict[str, str]:
    """A drawing in the page, which has its theme's colours; and one on white, for converters."""
    drawn = vega_parts.svg(spec)
    prefix = f"green-{sha256(drawn.encode()).hexdigest()[:12]}"
    drawing = vega_parts.svg_for_page(spec, prefix)
    return {"text/html": _PAGE.replace("{drawing}", drawing), "image/svg+xml": drawn}
