"""What users give to studies, checked before anything runs: a study may take hours."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

from jupyter_green.errors import SettingError
from jupyter_green.recorder.names import writable

LONGEST_NAME = 200
"""Characters of a name that go into the journal: it stands in every run's events."""
LONGEST_REST_S = 3600.0


def whole(name: str, number: object, least: int | None = None) -> int:
    """A whole number; None: it may be as small as it likes.

    Raises:
        SettingError: it is something else, or too small.
    """
    try:
        found = operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        raise SettingError(f"{name} must be a whole number, it is {shown(number)}") from None
    if least is not None and found < least:
        raise SettingError(f"{name} must be {least} or more, it is {found}")
    return found


def real(name: str, number: object) -> float:
    """A finite number.

    Raises:
        SettingError: it is something else.
    """
    try:
        if isinstance(number, (str, bytes)):
            raise TypeError
        found = float(number)  # type: ignore[arg-type]
    except Exception:  # each library has its own for what is no scalar
        raise SettingError(f"{name} must be a number, it is {shown(number)}") from None
    if not math.isfinite(found):
        raise SettingError(f"{name} must be a finite number, it is {found}")
    return found


def rest(name: str, seconds: object) -> float:
    """Seconds without work.

    Raises:
        SettingError: no number, below 0, or more than an hour.
    """
    found = real(name, seconds)
    if not 0 <= found <= LONGEST_REST_S:
        raise SettingError(f"{name} must be 0 to {LONGEST_REST_S:.0f} seconds, it is {found:g}")
    return found


def text(name: str, given: object) -> str:
    """A text with something in it, not too long for a name.

    Raises:
        SettingError: it is something else.
    """
    if not isinstance(given, str) or not given.strip():
        raise SettingError(f"{name} must be a text, as 'accuracy', it is {shown(given)}")
    if len(given) > LONGEST_NAME:
        raise SettingError(
            f"{name} may have {LONGEST_NAME} characters, it has {len(given):,}: {shown(given)}"
        )
    return given


def named(given: list[tuple[str, Callable[..., object]]]) -> Mapping[str, Callable[..., object]]:
    """Callables by name, each name as the journal takes it.

    Raises:
        SettingError: two have one name, or one that begins alike for as long as it is kept.
    """
    whole_names = [writable(name) for name, _ in given]
    if len(set(whole_names)) < len(whole_names):
        raise SettingError("two callables have one name: give a mapping with a name for each")
    kept = [name[:LONGEST_NAME] for name in whole_names]
    if len(set(kept)) < len(kept):
        raise SettingError(
            f"names must differ in their first {LONGEST_NAME} characters; two begin with "
            f"{shown(next(name for name in kept if kept.count(name) > 1))}"
        )
    return {name: function for name, (_, function) in zip(kept, given, strict=True)}


def shown(value: object) -> str:
    """A value with its kind, in few characters: ``1.5 (float)``."""
    kind = type(value).__name__
    if isinstance(value, (str, bytes)):
        # Only the beginning: it may be as long as it likes.
        value = value[:60]
    try:
        told = repr(value)
    except Exception:  # whatever the user's object does
        return f"a {kind}"
    return f"{told if len(told) <= 60 else told[:57] + '...'} ({kind})"
