"""The head of a model card for Hugging Face: ``co2_eq_emissions``, in **grams**, and a paragraph.

The keys are those of the Hub's model card metadata: emissions, source, training_type,
geographical_location, hardware_used. Without a place there is no ``co2_eq_emissions``, because
the Hub wants a number there and 0 would be a measurement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from jupyter_green.report.inert import yaml
from jupyter_green.report.statement import (
    conditions,
    generator,
    hardware,
    intensities,
    listed,
)
from jupyter_green.report.statement import (
    render as statement,
)
from jupyter_green.report.words import provenance_words
from jupyter_green.sessions.model import Cell, Session, Span

TRAINING_TYPES = ("pre-training", "fine-tuning")
"""What the Hub knows; told only where the tags of cells say so."""


def render(session: Session) -> str:
    """The metadata block of a model card, and below it the statement in Markdown."""
    grams = session.co2_g(session.total)
    body = f"## Environmental impact\n\n{statement(session)}"
    if grams is None:
        return body
    fields = {"emissions": number(grams), **_words(session)}
    lines = (f"  {key}: {value}" for key, value in fields.items())
    return "\n".join(["---", "co2_eq_emissions:", *lines, "---", "", body])


def number(value: float) -> str:
    """A number of YAML with every digit: without a point, an exponent makes it text."""
    mantissa, exponent, power = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}"


def _words(session: Session) -> dict[str, str]:
    fields = {
        "source": _source(session),
        "training_type": ", ".join(_training_types(session)),
        "geographical_location": listed(one.place for one in intensities(session.periods)),
        "hardware_used": hardware(session),
    }
    return {key: yaml(text) for key, text in fields.items() if text}


def _source(session: Session) -> str:
    total = session.total
    least = f"lower bound: {listed(total.missing)} missing; " if total.at_least else ""
    return (
        f"{generator()} ({provenance_words(total)}; {least}whole session, failed and superseded "
        f"runs included; {conditions(session.periods)})"
    )


def _training_types(session: Session) -> Iterable[str]:
    windows: tuple[Cell | Span, ...] = (*session.cells, *session.windows)
    tags = [(one.tags.stage, one.tags.technique) for one in windows]
    told = {_letters(tag) for pair in tags for tag in pair if tag}
    return [known for known in TRAINING_TYPES if _letters(known) in told]


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text[:100].lower())
