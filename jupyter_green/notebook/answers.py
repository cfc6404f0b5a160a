"""What panels can ask for, and the preferences that they bring along."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from jupyter_green.carbon import tables
from jupyter_green.configurable import load_settings
from jupyter_green.errors import ReportError
from jupyter_green.notebook.place import set_place
from jupyter_green.notebook.protocol import Ask, Preferences
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import Session

MOST_EXPORTED = 2_500_000
"""Characters of a file that goes to a page: the server drops messages beyond 1 MB a second over
three seconds."""


def prefer(tracker: Tracker, preferences: Preferences) -> None:
    """Use a page's place and price in this session, where nothing is configured here.

    Raises:
        UnknownPlace: no intensity is known for the place.
    """
    settings = tracker.settings
    wants_price = preferences.price_per_kwh is not None and settings.price_per_kwh is None
    wants_place = bool(preferences.place) and settings.place is None
    if not (wants_price or wants_place):
        return
    session = tracker.session()
    if wants_price and session.pricing.price_per_kwh is None:
        tracker.set_pricing(
            structs.replace(
                session.pricing,
                price_per_kwh=preferences.price_per_kwh,
                currency=preferences.currency or session.pricing.currency,
            )
        )
    if wants_place and session.intensity is None:
        tracker.set_place(preferences.place)


def answer(tracker: Tracker, shell: Any, ask: Ask) -> Any:
    """The value of what is asked for.

    Raises:
        JupyterGreenError: it cannot be had; the text says why.
    """
    match ask.what:
        case "places":
            return _places(tracker.session())
        case "place":
            return _set_place(tracker, ask.argument or None)
        case "examine":
            return _examine(shell)
        case "savings":
            return _savings(tracker.session())
        case "export":
            return _export(tracker.session(), ask.argument or "")


def _places(session: Session) -> dict[str, Any]:
    known = [{"code": place.iso2 or place.iso3, "name": place.name} for place in tables.places()]
    name = session.intensity.place if session.intensity is not None else None
    current = next((place["code"] for place in known if place["name"] == name), None)
    return {"places": known, "current": current}


def _set_place(tracker: Tracker, place: str | None) -> dict[str, Any]:
    placed = set_place(tracker, place)
    return {"place": placed.intensity and placed.intensity.place, "kept": placed.kept}


def _examine(shell: Any) -> dict[str, Any]:
    from jupyter_green.doctor import hints  # noqa: PLC0415  (not at %load_ext)
    from jupyter_green.doctor.apart import examine_apart  # noqa: PLC0415

    loaded = load_settings(shell)
    found = examine_apart(loaded.settings, loaded.problems)
    return {"findings": hints.of(found)}


def _savings(session: Session) -> dict[str, Any]:
    from jupyter_green.insight.told import told  # noqa: PLC0415  (not at %load_ext)

    shown = ("title", "detail", "remedy")
    more = {"commands": [], "severity": "note"}
    return {
        "findings": [
            {**{k: v for k, v in one.items() if k in shown}, **more} for one in told(session)
        ]
    }


def _export(session: Session, name: str) -> dict[str, Any]:
    from jupyter_green.report import forms  # noqa: PLC0415  (not at %load_ext)

    form = forms.form_of(name)
    if form.binary:
        raise ReportError(
            f"{name} is no text, which is all that the panel can save: run "
            f"`%green report session{form.suffix}` in a cell"
        )
    file_name, text = forms.file_name(session, form), form.render(session)
    if len(text) > MOST_EXPORTED:
        raise ReportError(
            f"the {name} of this session is {len(text) / 1e6:.1f} MB, which is too much to be sent "
            f"to a page: run `%green report {file_name}` in a cell"
        )
    return {"name": file_name, "media_type": form.media_type, "text": text}
