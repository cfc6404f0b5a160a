"""Follows a provider: asks rarely, remembers, backs off, and falls back to the table.

Nothing here waits or knows of threads; the recorder calls :meth:`Live.ask` when ``wait_s`` is over
(:mod:`jupyter_green.recorder.intensity`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from uuid import uuid4

import msgspec
from msgspec import Struct

from jupyter_green.carbon import choice
from jupyter_green.carbon.intensity import Provider, Published
from jupyter_green.errors import IntensityUnavailable
from jupyter_green.events import STANDS_IN, Intensity, IntensityChanged
from jupyter_green.settings import Settings

FIRST_RETRY_S = 30.0
"""After a failure; each further one in a row doubles it, up to the usual interval."""
REFUSED_RETRY_S = 3600.0
"""A provider that refuses the question is not asked again sooner."""


class _Kept(Struct):
    asked_wall_s: float
    published: Published


class Shelf:
    """The last value, in a file that all sessions share: ten kernels need one request."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def age_and_value(self, now_s: float) -> tuple[float, Published] | None:
        """What lies there and how old it is in seconds; None: nothing that can be used."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        age_s = now_s - kept.asked_wall_s
        return (age_s, kept.published) if age_s >= 0 else None

    def put(self, published: Published, now_s: float) -> None:
        """Keep a value. Where that is not possible, each session asks for itself."""
        draft = self._path.with_name(f".{self._path.name}.{uuid4().hex}")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(_Kept(now_s, published)))
            os.replace(draft, self._path)
        with suppress(OSError):
            draft.unlink(missing_ok=True)


class Live:
    """What is in force by a provider's word, and when to ask it again.

    Args:
        opened: gives the provider; may raise what ``latest`` raises.
        stand_in: the table's value, in force from the start and whenever there is no live one.
        interval_s: seconds between two requests.
    """

    def __init__(
        self,
        opened: Callable[[], Provider],
        stand_in: Intensity | None,
        interval_s: float,
        shelf: Shelf,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.wait_s = 0.0
        """Seconds until the next :meth:`ask`."""
        self._opened = opened
        self._stand_in = self._in_force = stand_in
        self._interval_s = interval_s
        self._shelf = shelf
        self._now = now
        self._failures = 0

    def ask(self) -> IntensityChanged | None:
        """What has changed, its stamp still empty; None: nothing. Never raises."""
        try:
            published = self._on_shelf() or self._fetched()
        except IntensityUnavailable as error:
            return self._failed(error)
        # Whatever it is, the session goes on without; and its text could hold anything.
        except Exception as error:
            return self._failed(
                IntensityUnavailable(f"asking failed: {type(error).__name__}", refused=True)
            )
        self._failures = 0
        since = published.time.astimezone(UTC)
        return self._changed(published.intensity, f"published for {since:%Y-%m-%d %H:%M} UTC")

    def _on_shelf(self) -> Published | None:
        found = self._shelf.age_and_value(self._now())
        if found is None or found[0] >= self._interval_s:
            return None
        self.wait_s = self._interval_s - found[0]
        return found[1]

    def _fetched(self) -> Published:
        published = self._opened().latest()
        self.wait_s = self._interval_s
        self._shelf.put(published, self._now())
        return published

    def _failed(self, error: IntensityUnavailable) -> IntensityChanged | None:
        """Said once, however long it lasts."""
        self._failures += 1
        self.wait_s = max(self._retry_s(error), error.again_s or 0.0)
        if self._failures > 1:
            return None
        self._in_force = self._stand_in
        instead = "the table's annual average" if self._stand_in is not None else "no other value"
        return IntensityChanged(
            t=0.0, intensity=self._stand_in, reason=f"{error}; {instead} {STANDS_IN}"
        )

    def _retry_s(self, error: IntensityUnavailable) -> float:
        if error.refused:
            return max(REFUSED_RETRY_S, self._interval_s)
        return min(self._interval_s, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16))

    def _changed(self, intensity: Intensity, reason: str) -> IntensityChanged | None:
        if intensity == self._in_force:
            return None
        self._in_force = intensity
        return IntensityChanged(t=0.0, intensity=intensity, reason=reason)


def live(settings: Settings) -> Live:
    """Follows the provider that the settings name."""
    question = (settings.intensity_provider, settings.intensity_url, settings.zone, settings.place)
    name = hashlib.sha256(repr(question).encode()).hexdigest()[:16]
    return Live(
        lambda: choice.provider(settings),
        choice.starting_intensity(settings),
        settings.intensity_interval_s,
        Shelf(Path(settings.data_dir, "intensity", f"{name}.json")),
    )
