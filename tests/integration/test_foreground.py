"""What server and front end take for the kernel's state while panels talk to it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .kernels import Kernel
from .panel import Panel

pytestmark = pytest.mark.kernel


class Server(Panel):
    """Keeps the state of the kernel as Jupyter Server does, from all messages on iopub."""

    state = "idle"
    heard = 0

    def _receive(self, message: dict) -> None:
        super()._receive(message)
        if message["msg_type"] == "status":
            self.state = message["content"]["execution_state"]
            self.heard += 1

    def settled(self) -> str:
        """The state that is left when all messages have been handled."""
        heard = -1
        while heard != self.heard:
            heard = self.heard
            self.listen(0.25)
        return self.state


@pytest.fixture
def server(kernel: Kernel) -> Iterator[Server]:
    subshell = kernel.open_subshell()
    if subshell is None:
        pytest.skip("this kernel has no subshells: it handles no message while a cell runs")
    server = Server(kernel, "page", subshell)
    server.greet()
    server.watch()
    server.until(lambda: server.session)
    yield server
    server.close()


def test_a_cell_keeps_the_kernel_busy(kernel: Kernel, server: Server) -> None:
    running = kernel.send("wait_for('end')")
    server.until(lambda: server.session and server.session.open_cells)
    for visible in (True, False):
        heard = server.heard
        server.watch(visible)
        server.until(lambda heard=heard: server.heard >= heard + 2)
        server.listen(0.3)
        assert server.state == "busy"
    (kernel.home.work / "end").touch()
    kernel.reply(running)
    server.until(lambda: server.state == "idle")


def test_it_is_idle_when_its_cells_have_ended(kernel: Kernel, server: Server) -> None:
    """Messages that are handled in the moment in which a cell ends."""
    for _ in range(15):
        running = kernel.send("time.sleep(0.02)", silent=False)
        for _ in range(8):
            server.watch()
            time.sleep(0.004)
        kernel.reply(running)
        assert server.settled() == "idle"


def test_threads_of_a_cell_go_on_printing_below_it(kernel: Kernel, server: Server) -> None:
    """A line that is printed in the very moment of a message may go astray; no later one does."""
    running = kernel.send(
        "import threading\n"
        "def work():\n"
        "    for number in range(20):\n"
        "        print(number, flush=True); time.sleep(0.05)\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()"
    )
    for _ in range(3):
        server.watch()
        server.listen(0.2)
    printed = [int(number) for number in kernel.reply(running).out.split()]
    assert len(printed) >= 10
    assert printed[-1] == 19
