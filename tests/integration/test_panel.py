"""The feed of a real kernel and its recorder, as a page sees it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from jupyter_green.sessions import library
from jupyter_green.sessions.model import Session

from .kernels import Home, Kernel, until
from .panel import Panel, looking
from .test_death import give_up

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

LOG = "from jupyter_green import log"


@pytest.fixture
def panel(kernel: Kernel) -> Iterator[Panel]:
    with looking(kernel, subshell=kernel.open_subshell()) as panel:
        yield panel


def same_figures(shown: Session, recorded: Session) -> None:
    """All that a panel shows is exactly what the journal says."""
    assert shown.id == recorded.id
    assert [(c.number, c.energy.total_uj, c.energy.bound_uj) for c in shown.cells] == [
        (c.number, c.energy.total_uj, c.energy.bound_uj) for c in recorded.cells
    ]
    assert [(m.name, m.value, m.session_uj) for m in shown.metrics] == [
        (m.name, m.value, m.session_uj) for m in recorded.metrics
    ]
    assert {name: entry.total_uj for name, entry in shown.ledger.entries.items()} == {
        name: entry.total_uj for name, entry in recorded.ledger.entries.items()
    }
    assert shown.total.total_uj == recorded.total.total_uj
    assert shown.total.bound_uj == recorded.total.bound_uj


def test_a_panel_shows_what_the_journal_says(kernel: Kernel, panel: Panel) -> None:
    kernel.ok(LOG)
    kernel.ok("for epoch in range(30):\n    log(accuracy=epoch / 30, step=epoch); time.sleep(0.05)")
    kernel.run("1 / 0")
    kernel.ok("time.sleep(0.3)")
    assert panel.until(lambda: panel.told("hello"))[0]["session"] == kernel.session().id
    panel.shows(4)
    kernel.ok("%unload_ext jupyter_green")
    panel.until(lambda: panel.session and panel.session.state == "closed")
    until(lambda: kernel.session().state == "closed")
    assert panel.session is not None
    same_figures(panel.session, kernel.session())
    assert panel.until(lambda: panel.told("goodbye"))
    assert panel.missed == 0


def test_watts_move_within_seconds_while_no_cell_has_run(panel: Panel) -> None:
    panel.until(lambda: panel.session, timeout_s=5)
    panel.until(lambda: panel.session and panel.session.power_w, timeout_s=5)
    first = panel.session and panel.session.duration_s
    panel.until(lambda: panel.session and first and panel.session.duration_s > first + 2)


def test_a_page_that_is_reloaded_in_a_cell_has_its_data_at_once(kernel: Kernel) -> None:
    subshell = kernel.open_subshell()
    with looking(kernel, subshell=subshell) as before:
        kernel.ok("x = 1")
        before.shows(1)
        running = kernel.send("time.sleep(6)")
        before.until(lambda: before.session and before.session.open_cells)
    began_s = time.monotonic()
    with looking(kernel, name="after", subshell=subshell) as panel:
        panel.until(lambda: panel.session, timeout_s=4)
        took_s = time.monotonic() - began_s
        session = panel.session
        assert session is not None
        assert [cell.first_line for cell in session.cells] == ["x = 1"]
        (open_cell,) = session.open_cells
        assert open_cell.first_line == "time.sleep(6)"
        # Starting the client's channels takes its time as well; a second is the aim of both.
        assert took_s < 3
        kernel.reply(running)
        same_figures(panel.shows(2), _until_cells(kernel, 2))


def test_without_subshells_snapshots_come_unasked(home: Home) -> None:
    """As on ipykernel 6, where nobody can ask while a cell runs."""
    kernel = Kernel(home, load=False)
    try:
        kernel.ok("get_ipython().kernel.__class__._supports_kernel_subshells = False", silent=True)
        kernel.load()
        with looking(kernel) as before:
            before.until(lambda: before.session)
            running = kernel.send("time.sleep(5)")
            before.until(lambda: before.session and before.session.open_cells)
        panel = Panel(kernel, name="after")
        panel.greet()
        panel.watch()
        panel.until(lambda: panel.session and panel.session.open_cells, timeout_s=3.5)
        assert not panel.told("hello")
        kernel.reply(running)
        panel.shows(1)
        panel.close()
    finally:
        kernel.close()


def test_nothing_is_sent_to_panels_that_cannot_be_seen(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    panel.watch(visible=False)
    panel.listen(1)
    heard = len(panel.messages)
    kernel.ok("time.sleep(1.5)")
    panel.listen(1)
    assert len(panel.messages) == heard
    panel.watch(visible=True)
    same_figures(panel.shows(1), _until_cells(kernel, 1))
    # Where it left off, not from the start.
    assert len(panel.told("snapshot")) == 1


def test_two_pages_see_the_same_and_one_may_go(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    kernel.ok("x = 1")
    subshell = kernel.open_subshell()
    with looking(kernel, name="other", subshell=subshell) as other:
        kernel.ok("x = 2")
        same_figures(panel.shows(2), _until_cells(kernel, 2))
        same_figures(other.shows(2), _until_cells(kernel, 2))
        other.watch(visible=False)
        kernel.ok("x = 3")
        panel.shows(3)
        assert panel.missed == other.missed == 0
    assert panel.session is not None
    assert len({cell.number for cell in panel.session.cells}) == 3


def test_a_client_that_closes_the_comm_silences_nobody(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    closing = panel.client.session.msg("comm_close", {"comm_id": "jupyter_green", "data": {}})
    panel.client.shell_channel.send(closing)
    kernel.ok("x = 1")
    panel.shows(1)
    panel.send({"type": "track", "on": False})
    panel.until(lambda: panel.session and panel.session.paused)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        [],
        "x" * 10_000,
        {"type": "watch"},
        {"type": "watch", "client": "", "visible": True},
        {"type": "watch", "client": "c", "visible": True, "refresh_s": 0.001},
        {"type": "watch", "client": "c", "visible": True, "next": -1},
        {"type": "nonsense", "request": 3, "client": "c"},
        {"type": "ask", "request": 1, "client": "c", "what": "rm -rf"},
        {"type": "hello", "protocol": "one", "version": "1", "client": "c"},
        {"type": "track", "on": "yes"},
    ],
)
def test_garbage_is_answered_with_an_error(kernel: Kernel, panel: Panel, garbage: object) -> None:
    panel.send(garbage)
    (refused,) = panel.until(lambda: panel.told("refused"))
    assert "cannot be used" in refused["reason"]
    kernel.ok("x = 1")
    panel.shows(1)


def test_the_feed_goes_on_after_the_recorder_was_killed(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    kernel.ok("x = 1")
    panel.shows(1)
    stream = panel.stream
    first = kernel.recorder()
    os.kill(first.pid, signal.SIGKILL)
    kernel.recorder(other_than=first.pid)
    kernel.ok("x = 2")
    same_figures(panel.shows(2), _until_cells(kernel, 2))
    assert panel.stream != stream


def test_the_feed_goes_on_where_no_recorder_stays_alive(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    give_up(kernel)
    kernel.ok("time.sleep(1.2)")
    panel.shows(1)
    panel.until(lambda: panel.told("state")[-1]["problems"])
    assert "boundaries only" in panel.told("state")[-1]["problems"][0]
    # Samples, while somebody looks.
    shown = panel.session
    assert shown is not None
    panel.until(lambda: panel.session and panel.session.duration_s > shown.duration_s + 1)
    kernel.shutdown()


def test_pause_place_places_and_exports(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    places = panel.ask("places")["value"]
    assert {"code": "FR", "name": "France"} in places["places"]
    assert places["current"] is None
    assert panel.ask("place", "Atlantis")["type"] == "refused"
    placed = panel.ask("place", "FR")["value"]
    assert placed["place"] == "France"
    kernel.ok("x = 1")
    session = panel.shows(1)
    assert session.intensity is not None
    assert session.intensity.place == "France"
    for form, start in (("text", "Notebook"), ("csv", "number,"), ("json", "{")):
        value = panel.ask("export", form)["value"]
        assert session.id in value["name"]
        assert start in value["text"] or value["text"]
    assert "exported as" in panel.ask("export", "exe")["reason"]
    panel.send({"type": "track", "on": False})
    panel.until(lambda: panel.session and panel.session.paused)


def test_the_doctor_is_asked_without_holding_up_cells(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    panel.send({"type": "ask", "request": 77, "client": "page", "what": "examine"})
    began_s = time.monotonic()
    kernel.ok("x = 1")
    assert time.monotonic() - began_s < 2
    answer = panel.until(
        lambda: next((m for m in panel.messages if m.get("request") == 77), None), timeout_s=60
    )
    titles = [finding["title"] for finding in answer["value"]["findings"]]
    assert any("package-0" in title for title in titles)


def test_preferences_of_a_page_hold_where_nothing_is_configured(home: Home) -> None:
    kernel = Kernel(home)
    try:
        panel = Panel(kernel)
        wishes = {"place": "FR", "price_per_kwh": 0.3, "currency": "CHF"}
        panel.greet(preferences=wishes)
        panel.watch()
        session = panel.until(lambda: panel.session if _priced(panel.session) else None)
        assert session.intensity is not None
        assert session.intensity.place == "France"
        assert (session.pricing.price_per_kwh, session.pricing.currency) == (0.3, "CHF")
        panel.close()
    finally:
        kernel.close()


def _priced(session: Session | None) -> bool:
    return session is not None and None not in (session.pricing.price_per_kwh, session.intensity)


def test_a_cell_s_messages_do_not_fire_the_events_of_the_shell(
    kernel: Kernel, panel: Panel
) -> None:
    """Matplotlib shows and closes its figures at ``post_execute``: not in the middle of a cell."""
    kernel.ok(
        "fired = []\nget_ipython().events.register('post_execute', lambda: fired.append(1))",
        silent=True,
    )
    before = int(kernel.ask("len(fired)"))
    running = kernel.send("time.sleep(1.5); seen = len(fired)")
    panel.until(lambda: panel.session and panel.session.open_cells)
    for _ in range(5):
        panel.watch()
        panel.listen(0.1)
    kernel.reply(running)
    # One of them is of the request that asked.
    assert int(kernel.ask("seen")) <= before + 1


def test_messages_are_few_and_small(kernel: Kernel, panel: Panel) -> None:
    panel.until(lambda: panel.session)
    kernel.ok(LOG)
    heard = len(panel.messages)
    running = kernel.send(
        "end = time.monotonic() + 6\ni = 0\n"
        "while time.monotonic() < end:\n    i += 1\n    log(loss=1 / i, step=i); time.sleep(0.001)"
    )
    panel.listen(6)
    kernel.reply(running)
    sizes = panel.sizes[heard:]
    assert 4 <= len(sizes) <= 14
    assert max(sizes) <= 2048
    session = panel.shows(2)
    last = _until_cells(kernel, 2).metrics[-1]
    assert session.metrics[-1].value == last.value


def _until_cells(kernel: Kernel, count: int) -> Session:
    """What is on the disk, as soon as so many cells have ended there."""

    def look() -> Session | None:
        session = kernel.so_far()
        return session if session is not None and len(session.cells) >= count else None

    return library.load(kernel.journal) if until(look) else kernel.session()
