"""The studies of a session in its reports: what they have shown, one section for all.

A study is in the journal as a span with trials; what it shows is computed from these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jupyter_green.insight import inferences, layers, searches
from jupyter_green.report.html import parts as html_parts
from jupyter_green.report.inert import markdown as inert
from jupyter_green.report.inert import short
from jupyter_green.report.lines import cut
from jupyter_green.report.studies import inferred, layered, searched
from jupyter_green.sessions.model import Session

LONGEST_TITLE = 80
MOST_STUDIES = 20
"""Of one kind; of more, the latest ones."""


@dataclass(frozen=True)
class View:
    """How one kind of study is found in a session, and shown."""

    kind: str
    found: Callable[[Session], tuple[Any, ...]]
    name: Callable[[Any], str]
    sentence: Callable[[Any], str]
    text: Callable[[Any], str]
    markdown: Callable[[Any], str]
    parts: Callable[[Any], Iterable[str]]
    """Of the HTML page, where nothing may have a style of its own."""


VIEWS = (
    View(
        kind="Inference",
        found=inferences.inferences_of,
        name=lambda result: result.label,
        sentence=inferred.sentence,
        text=inferred.text,
        markdown=inferred.markdown,
        parts=inferred.parts,
    ),
    View(
        kind="Search strategies",
        found=searches.studies_of,
        name=searched.name,
        sentence=searched.sentence,
        text=searched.render,
        markdown=searched.render_markdown,
        parts=searched.parts,
    ),
    View(
        kind="Layers",
        found=layers.studies_of,
        name=lambda result: result.label,
        sentence=layered.sentence,
        text=layered.render,
        markdown=layered.render_markdown,
        parts=layered.parts,
    ),
)


def section(session: Session) -> str:
    """A section of the HTML report; nothing without studies."""
    parts = (
        f"<h3>{html_parts.text(title)}</h3>{''.join(view.parts(result))}"
        for view, title, result in _studies(session)
    )
    return html_parts.section("Studies", *parts)


def lines(session: Session, width: int, everything: bool) -> list[str]:
    """Lines of the text report: a sentence each, or all figures where everything is asked for."""
    found: list[str] = []
    for view, title, result in _studies(session):
        if everything:
            found += ["", cut(title, width), *view.text(result).splitlines()]
        else:
            found.append(cut(f"{title}: {view.sentence(result)}", 4 * width))
    return ["Studies", *found] if found else []


def markdown(session: Session) -> str:
    """The body of a section of the Markdown report; nothing without studies."""
    return "\n\n".join(
        f"### {inert(title)}\n\n{view.markdown(result)}"
        for view, title, result in _studies(session)
    )


def _studies(session: Session) -> Iterator[tuple[View, str, Any]]:
    for view in VIEWS:
        for result in view.found(session)[-MOST_STUDIES:]:
            yield view, f"{view.kind}: {short(view.name(result), LONGEST_TITLE)}", result
