"""What panels can ask for, and the preferences that they bring along."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from jupyter_green.carbon import tables
from jupyter_green.configurable import load_settings
from jupyter_green.errors import SettingError
from jupyter_green.notebook.place import set_place
from jupyter_green.notebook.protocol import Ask, Preferences
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import Session


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


def _export(session: Session, form: str) -> dict[str, Any]:
    from jupyter_green.report import tabular, text  # noqa: PLC0415  (not at %load_ext)

    match form:
        case "text":
            name, media_type, told = "txt", "text/plain", text.render(session, everything=True)
        case "csv":
            name, media_type, told = "csv", "text/csv", tabular.as_csv(session)
        case "json":
            name, media_type, told = "json", "application/json", tabular.as_json(session)
        case _:
            raise SettingError(f"a session is exported as text, csv or json, not as {form!r}")
    return {"name": f"{session.id}.{name}", "media_type": media_type, "text": told}
