"""``%green budget``: what the session may use, in the words of the user."""

from __future__ import annotations

import sys

from jupyter_green.errors import SettingError
from jupyter_green.recorder.budget import Keeper, Passed
from jupyter_green.sessions.model import Session
from jupyter_green.units import format_budget, format_share, parse_energy

STOP = "--stop"


def set_budget(keeper: Keeper, words: list[str], used_uj: int | None) -> str:
    """Follow ``50 Wh [--stop]`` or ``off``; what was done, in a sentence.

    Args:
        used_uj: by the session so far; None: not known.

    Raises:
        SettingError: the words are no energy, or it is used up already.
    """
    if words == ["off"]:
        keeper.drop()
        return "There is no budget."
    stop = STOP in words
    budget_uj = _energy_of([word for word in words if word != STOP])
    if used_uj is not None and used_uj >= budget_uj:
        raise SettingError(
            f"the session has used {format_budget(used_uj)} already, and a budget counts from its "
            f"start: set more than that, or `%green budget off`"
        )
    keeper.keep(budget_uj, stop=stop)
    then = "the cell that runs then is interrupted" if stop else "you are warned"
    return f"The session may use {format_budget(budget_uj)}; when they are used up, {then}."


def _energy_of(words: list[str]) -> int:
    for word in words:
        if word.startswith("--"):
            raise SettingError(f"%green budget knows the option {STOP} only, not {word!r:.40}")
    if not words:
        raise SettingError("a budget needs an energy: %green budget 50 Wh --stop")
    budget_uj = parse_energy(" ".join(words))
    if budget_uj <= 0:
        raise SettingError("a budget must be more than 0 J; `%green budget off` drops it")
    return budget_uj


def told(session: Session) -> str:
    """How much of the budget is used."""
    if session.budget is None:
        return "No budget is set. `%green budget 50 Wh` sets one; with --stop it is kept."
    budget_uj, used_uj = session.budget.budget_uj, session.total.total_uj
    if used_uj is None:
        return f"The budget is {format_budget(budget_uj)}; what was used is not known."
    least = "≥ " if session.total.at_least else ""
    share = format_share(used_uj / budget_uj)
    stops = session.budget.stop and used_uj < budget_uj
    then = "; at the end of it the running cell is interrupted" if stops else ""
    if used_uj >= budget_uj:
        then = ": it is used up, and cells run on"
    used = f"{least}{format_budget(used_uj)} of {format_budget(budget_uj)} are used"
    return f"{used} ({share}){then}."


def warn(passed: Passed) -> None:
    """Say it below the cell that runs, where errors stand."""
    print(f"jupyter_green: {_sentence(passed)}", file=sys.stderr)


def _sentence(passed: Passed) -> str:
    used = f"{'≥ ' if passed.at_least else ''}{format_budget(passed.used_uj)}"
    doubt = " (modelled)" if passed.modelled else ""
    if not passed.all_used:
        share = format_share(passed.used_uj / passed.budget_uj)
        return f"{used}{doubt} are used, {share} of the budget of {_energy(passed)}."
    said = f"the budget of {_energy(passed)} is used up: {used}{doubt}."
    return f"{said} The cell is interrupted." if passed.interrupts else said


def _energy(passed: Passed) -> str:
    return format_budget(passed.budget_uj)
