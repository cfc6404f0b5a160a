"""The ledger: what the session's energy was good for, to the microjoule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jupyter_green.sessions.model import Cell, Entry, Ledger
from jupyter_green.sessions.windows import Account

FAILED = frozenset({"error", "interrupted", "kernel died", "unfinished"})


def categories(cells: Iterable[Cell]) -> dict[int, str]:
    """Productive, superseded or failed, for each finished cell that owns time.

    A success is superseded when the same cell succeeds again later with the same label: only
    the last result was kept. Deliberate repeats are never waste.
    """
    category: dict[int, str] = {}
    last_success: dict[tuple[str, str | None], int] = {}
    for cell in cells:
        if not cell.owns_time:
            continue
        if cell.status in FAILED:
            category[cell.number] = "failed"
            continue
        category[cell.number] = "productive"
        if cell.tags.deliberate:
            continue
        identity = (cell.cell, cell.tags.label)
        earlier = last_success.get(identity)
        if earlier is not None:
            category[earlier] = "superseded"
        last_success[identity] = cell.number
    return category


def settle(
    cells: Sequence[Cell],
    accounts: Mapping[int, Account],
    between: Account,
    paused: Account,
    holes: Account,
) -> Ledger:
    """Sort every account into its category. What is in no finished cell is running."""
    category = categories(cells)
    sums = {name: Account() for name in ("productive", "superseded", "failed", "running")}
    for number, account in accounts.items():
        sums[category.get(number, "running")].absorb(account)
    counted = {name: _entry(account) for name, account in sums.items()}
    return Ledger(
        productive=counted["productive"],
        superseded=counted["superseded"],
        failed=counted["failed"],
        running=counted["running"],
        between=_entry(between),
        paused=_entry(paused),
        holes=_entry(holes),
        category_of=category,
    )


def _entry(account: Account) -> Entry:
    return Entry(
        uj=dict(account.uj),
        total_uj=sum(account.by_period.values()),
        seconds=account.seconds,
        by_period=dict(account.by_period),
    )
