"""The panel alone: the widget's module in a page of its own, and a kernel that a test plays."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Locator, Page, Route

import jupyter_green
from jupyter_green.events import CounterInfo, DeviceState, Event, PowerSampled, encode
from jupyter_green.notebook.protocol import PROTOCOL
from tests.simulators.story import DRAM, PACKAGE, WATTS, Story

MODULE = Path(jupyter_green.__file__).parent / "inline/panel.js"
THEMES = Path(str(files("jupyterlab"))) / "themes/@jupyterlab"
ADDRESS = "http://localhost/panel/"
LIGHT, DARK = "light", "dark"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>panel</title>
<link rel="stylesheet" href="theme.css">
<style>body {{ margin: 0; background: var(--jp-layout-color1) }}</style></head>
<body data-jp-theme-light="{light}"><main id="panel"></main></body></html>"""

# As much of anywidget's model as the module uses; what it sends is kept for the test.
_BEGIN = """async ({fallback}) => {
    const heard = new Set();
    window.sent = [];
    const model = {
        get: () => fallback,
        send: message => void window.sent.push(message),
        on: (_, listener) => heard.add(listener),
        off: (_, listener) => heard.delete(listener)
    };
    window.tell = (message, bytes) => {
        const buffers = bytes === null
            ? []
            : [new DataView(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)).buffer)];
        heard.forEach(listener => listener(message, buffers));
    };
    const widget = (await import('./panel.js')).default;
    window.end = widget.render({model, el: document.getElementById('panel')});
}"""

GPU = CounterInfo(
    name="gpu-0",
    domain="gpu",
    source="nvml",
    provenance="measured",
    resolution_s=0.1,
    scope="device",
    device="NVIDIA H200",
)
GIB = 2**30
IDLE_W = {**WATTS, GPU.name: 70.0}
BUSY_W = {**WATTS, PACKAGE.name: 41.0, GPU.name: 320.0}


class Tale(Story):
    """A session as the lines of its journal."""

    def __init__(self, *counters: CounterInfo, **header: Any) -> None:
        self.power_w = IDLE_W
        self._events: list[Event] = []
        self._uj: dict[str, float] = {}
        super().__init__(*counters, **header)

    def feed(self, event: Event) -> None:
        self._events.append(event)
        super().feed(event)

    def stamp(self, after_s: float = 0.0) -> dict[str, Any]:
        """At the power that holds now."""
        self.t += after_s
        for one in self.counters:
            known_uj = self._uj.get(one.name, 0.0)
            self._uj[one.name] = known_uj + self.power_w[one.name] * after_s * 1e6
        names = [one.name for one in self.counters if one.name not in self.unread]
        lags = dict.fromkeys(names, (self.lag_uj, self.lag_uj))
        return {"t": self.t, "uj": {n: round(self._uj[n]) for n in names}, "error_uj": lags}

    def sleep(self, seconds: float, **devices: DeviceState) -> None:
        """Samples in between, so that there is a line to draw."""
        for _ in range(4):
            stamp = self.stamp(seconds / 4)
            named = {name.replace("_", "-"): state for name, state in devices.items()}
            self.feed(PowerSampled(devices=named, **stamp))

    def lines(self) -> bytes:
        return b"".join(map(encode, self._events))


def training(*counters: CounterInfo, **header: Any) -> Tale:
    """All that a panel can show: runs of all kinds, a metric, and a cell that runs."""
    tale = Tale(*(counters or (PACKAGE, DRAM, GPU)), **header)
    tale.cell("import torch", 4.0)
    tale.power_w = BUSY_W
    for run in ("first", "second"):
        number = tale.begin("fit(model)", {"label": f"mlp {run}"}, cell="fit")
        for step in range(12):
            tale.sleep(1.0)
            value = 1 - 0.7 ** (step + 1)
            tale.metric("accuracy", value, cell=number, step=step, run=run, direction="higher")
        tale.end(number)
    tale.power_w = IDLE_W
    tale.sleep(5.0)
    tale.cell("evaluate(model)", 2.0)
    tale.cell("evaluate(model)", 2.0)
    tale.cell("1 / 0", 9.0, "error", "ZeroDivisionError")
    tale.power_w = BUSY_W
    tale.begin("while True: train_on(everything_there_is, epochs=1000)")
    busy = DeviceState(
        utilisation=0.97, memory_bytes=61 * GIB, memory_total_bytes=141 * GIB, power_w=300.0
    )
    tale.sleep(3.0, gpu_0=busy)
    return tale


class PlainPage:
    """One panel in a page, and what its kernel hears. ``alone`` sees to it that it is closed."""

    def __init__(self, page: Page, theme: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        """Whatever the browser's console said as an error or a warning: all of it is ours."""
        self.dialogs: list[str] = []
        self._theme = theme
        page.set_default_timeout(10_000)
        page.on("console", self._hear)
        page.on("pageerror", self._hear_error)
        page.on("dialog", self._refuse)
        page.route("**/*", self._serve)

    def begin(self, fallback: str = "") -> None:
        """Show the panel; its kernel has not said anything yet."""
        self.page.goto(ADDRESS)
        self.page.evaluate(_BEGIN, {"fallback": fallback})
        self.page.wait_for_function("() => sent.some(message => message.type === 'hello')")

    # --- as its kernel

    def tell(self, message: Any, data: bytes | None = None) -> None:
        bytes_ = None if data is None else base64.b64encode(data).decode()
        self.page.evaluate("([message, bytes]) => tell(message, bytes)", [message, bytes_])

    def welcome(self, session: str = "s", protocol: int = PROTOCOL, version: str = "0.1.0") -> None:
        self.tell({"type": "hello", "protocol": protocol, "version": version, "session": session})

    def snapshot(self, lines: bytes, stream: str = "one", position: int = 1) -> None:
        """The session anew; positions that were told before are not heard."""
        told = {"type": "snapshot", "stream": stream, "part": 0, "parts": 1, "next": position}
        self.tell(told, zlib.compress(lines))

    def events(self, lines: bytes, start: int = 1, stream: str = "one") -> None:
        told = {"type": "events", "stream": stream, "from": start, "next": start + 1}
        self.tell(told, zlib.compress(lines))

    def live(self, lines: bytes) -> None:
        """The panel with a session."""
        self.begin()
        self.welcome()
        self.snapshot(lines)
        self.phase("live")

    def answer(self, value: Any, what: str) -> None:
        """To the last request of this kind."""
        asked = self.page.wait_for_function(
            "what => sent.findLast(m => m.type === 'ask' && m.what === what)", arg=what
        ).json_value()
        self.tell(
            {"type": "answer", **{k: asked[k] for k in ("request", "client")}, "value": value}
        )

    def sent(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate(
            "kind => sent.filter(message => message.type === kind)", kind
        )
        return found

    # --- as its user

    @property
    def panel(self) -> Locator:
        return self.page.locator(".jg-panel")

    def phase(self, name: str) -> Locator:
        """The panel, as soon as it has got there."""
        self.page.locator(f'.jg-panel[data-phase="{name}"]').wait_for()
        return self.panel

    def settle(self) -> None:
        """Until what has been told is drawn: twice a second at the most, over several frames."""
        self.page.evaluate(
            """() => new Promise(resolve => setTimeout(() =>
                requestAnimationFrame(() => requestAnimationFrame(resolve)), 600))"""
        )

    def _serve(self, route: Route) -> None:
        name = route.request.url.removeprefix(ADDRESS)
        if name == "panel.js":
            route.fulfill(path=MODULE, content_type="text/javascript")
        elif name == "theme.css":
            path = THEMES / f"theme-{self._theme}-extension/index.css"
            route.fulfill(path=path, content_type="text/css")
        elif name == "":
            light = json.dumps(self._theme == LIGHT)
            route.fulfill(body=_PAGE.format(light=light), content_type="text/html")
        else:
            route.fulfill(status=204)

    def _refuse(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _hear_error(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error.message}\n{error.stack or ''}")


@contextmanager
def alone(browser: Browser, theme: str = LIGHT, **how: Any) -> Iterator[PlainPage]:
    """A page of a new profile. At its end it fails if there were complaints, or a dialog."""
    size = {"width": 360, "height": 1100}
    context = browser.new_context(**{"viewport": size, "locale": "en-US", **how})
    try:
        page = PlainPage(context.new_page(), theme)
        yield page
    finally:
        context.close()
    assert not page.complaints, "the browser's console: " + "\n".join(page.complaints)
    assert not page.dialogs
