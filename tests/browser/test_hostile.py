"""Names full of markup and script, and garbage on the comm: shown as text, and nothing breaks."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Locator, expect

from jupyter_green.events import (
    CounterInfo,
    CounterLost,
    Intensity,
    OverlapSeen,
    PowerSampled,
    Pricing,
    Refusal,
    encode,
)
from jupyter_green.notebook.protocol import COMM_ID
from tests.simulators.story import DRAM, HOSTILE, PACKAGE

from .lab import Lab
from .page import LabPage, opened
from .plain import IDLE_W, PlainPage, Tale, alone, training

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>"
LINK = "javascript:alert(1)"
TURNED = "\u202eevil\u2066\u200b"
EVIL = f"{IMAGE}{SCRIPT}{TURNED}\n"
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 50
LONG = "x" * 1_000_000
NAMES = (*HOSTILE, IMAGE, SCRIPT, LINK, EVIL, FAMILY, "__proto__", "constructor", LONG)
OURS = ".jg-panel, .jg-badge, .jg-status-item"

# Whatever could only have come out of somebody's text.
_MADE = """ours => {
    const made = [];
    for (const root of document.querySelectorAll(ours)) {
        for (const one of root.querySelectorAll('*')) {
            const bad = [...one.attributes].filter(({name, value}) =>
                name.startsWith('on')
                || ['href', 'src', 'action', 'xlink:href', 'srcdoc'].includes(name));
            if (/^(img|script|a|iframe|object|b64|link|base|form|style)$/i.test(one.tagName)
                || bad.length > 0) {
                made.push(one.outerHTML.slice(0, 200));
            }
        }
    }
    return made;
}"""
_TEXTS = """root => [root, ...root.querySelectorAll('*')].flatMap(one =>
    [one.title ?? '', one.getAttribute('aria-label') ?? '',
     one.childElementCount ? '' : one.textContent]).join('\\u0001')"""


def assert_plain_text(panel: Locator) -> None:
    """Nothing was made of the texts, and none turns the reading order or steers anything."""
    made = panel.evaluate(
        f"root => {{ const document = root.getRootNode(); return ({_MADE})('.jg-panel'); }}"
    )
    assert not made
    shown = panel.evaluate(_TEXTS)
    for steering in ("\u202e", "\u2066", "\u200b", "\x1b", "\x00"):
        assert steering not in shown, repr(steering)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[PlainPage]:
    with alone(browser) as page:
        yield page


# --- the panel alone ----------------------------------------------------------------------


def hostile() -> Tale:
    """Everything that a user or another program can name is hostile."""
    counter = CounterInfo(
        name=IMAGE,
        domain="package",
        source=EVIL,
        provenance="measured",
        resolution_s=0.001,
        device=EVIL,
        assumption=EVIL,
    )
    IDLE_W[IMAGE] = 10.0
    tale = Tale(
        PACKAGE,
        DRAM,
        counter,
        notebook=f"/tmp/{EVIL}.ipynb",
        refused=[Refusal(source=EVIL, reason=EVIL, remedy=EVIL, counter=IMAGE)],
        intensity=Intensity(g_per_kwh=1.0, place=EVIL, basis=EVIL, source=EVIL),
        pricing=Pricing(price_per_kwh=1.0, currency=EVIL),
    )
    del IDLE_W[IMAGE]
    tale.power_w = {**IDLE_W, IMAGE: 10.0}
    for index, text in enumerate(NAMES):
        name = text.encode("utf-8", "replace").decode()
        tags = {"label": name or None, "stage": name, "technique": name}
        number = tale.begin(name, tags, cell=f"{index}")
        tale.sleep(0.5)
        for step in range(2):
            tale.metric(name[:1000], 1.0 * step, cell=number, run=name[:1000], step=step)
        tale.end(number, "error", name[:1000])
    tale.feed(CounterLost(t=tale.t, counter=IMAGE, since=tale.t, reason=EVIL, remedy=EVIL))
    tale.feed(OverlapSeen(t=tale.t, session=EVIL, pid=1, notebook=EVIL))
    return tale


def test_names(page: PlainPage) -> None:
    page.live(hostile().lines())
    page.tell({"type": "state", "problems": [EVIL, "x" * 100_000]})
    page.panel.get_by_role("button", name="More").click()
    page.panel.get_by_role("button", name="What is measured here?").click()
    fields = dict.fromkeys(("title", "detail", "remedy", "severity"), EVIL)
    page.answer({"findings": [{**fields, "commands": [EVIL, LINK]}]}, "examine")
    page.panel.get_by_role("button", name="Place …").click()
    page.answer({"places": [{"code": EVIL, "name": EVIL}], "current": None}, "places")
    page.panel.get_by_role("combobox", name="Place").wait_for()
    for summary in page.panel.locator("summary").all():
        summary.click()
    page.settle()
    cells = page.panel.locator(".jg-cells")
    for _ in range(5):
        page.panel.locator(".jg-cell").evaluate_all(
            "rows => rows.forEach(row => row.dispatchEvent(new Event('pointerenter')))"
        )
        assert_plain_text(page.panel)
        cells.evaluate("list => list.scrollBy(0, 300)")
        page.settle()
    choice = page.panel.get_by_role("combobox", name="Metric")
    choice.select_option(IMAGE)
    page.settle()
    assert_plain_text(page.panel)
    expect(choice).to_have_value(IMAGE)
    expect(page.panel.get_by_role("list", name="Hints")).to_contain_text(IMAGE)


def test_what_the_kernel_says(page: PlainPage) -> None:
    """Its version, its refusal, and what was saved with the notebook."""
    page.begin(fallback=EVIL)
    page.page.locator("pre").wait_for()
    assert page.page.locator("img, pre script").count() == 0
    page.welcome(protocol=9, version=EVIL)
    assert_plain_text(page.phase("versions"))
    page.begin()
    client = page.sent("hello")[0]["client"]
    page.tell({"type": "refused", "request": None, "client": client, "reason": EVIL})
    assert_plain_text(page.phase("failed"))


JUNK: tuple[Any, ...] = (
    None,
    0,
    "text",
    [],
    {},
    {"type": None},
    {"type": "__proto__"},
    {"type": "constructor"},
    {"type": ["hello"]},
    {"type": "hello"},
    {"type": "hello", "protocol": 1e300, "version": {}, "session": []},
    {"type": "snapshot", "stream": "evil", "part": 0, "parts": 10**9, "next": 1},
    {"type": "snapshot", "stream": "evil", "part": 5, "parts": 2, "next": 1},
    {"type": "snapshot", "stream": "evil", "part": 0, "parts": 2, "next": 2**60},
    {"type": "snapshot", "stream": {}, "part": 0, "parts": 1, "next": 1},
    {"type": "events", "stream": "one", "from": -1, "next": 0.5},
    {"type": "events", "stream": "one", "from": "0", "next": "1"},
    {"type": "events", "stream": "evil", "from": 0, "next": 1},
    {"type": "state", "problems": {"length": 10**9}},
    {"type": "state", "problems": [1, None]},
    {"type": "answer", "request": 10**9, "client": "nobody", "value": {}},
    {"type": "answer", "request": "1", "client": None},
    {"type": "refused", "request": None, "client": "nobody", "reason": "no"},
    {"type": "refused", "reason": 5},
)

BAD_LINES = (
    b"",
    b"\n\n\n",
    b'null\n1\n[]\n"text"\n',
    b'{"kind":"cell_started"}\n',
    b'{"kind":"cell_started","t":1e400,"number":1,"cell":"x"}\n',
    b'{"kind":"power_sampled","t":-1,"uj":{"package-0":1e300}}\n',
    b'{"kind":"power_sampled","t":1e300,"uj":{"__proto__":5,"package-0":9007199254740993}}\n',
    b'{"kind":"no such thing","t":1}\n' * 100,
    b"[" * 200_000 + b"\n",
    b'{"kind":"metric_logged","t":50,"name":"m","value":"NaN"}\n',
    b"\xff\xfe\x00\x80\n",
    b"\x00" * 100_000_000,
)


def test_garbage_of_all_shapes(page: PlainPage) -> None:
    page.live(training().lines())
    chance = random.Random(4)
    buffers = (None, b"", b"not compressed", chance.randbytes(5000), zlib.compress(b"x")[:-3])
    for junk in JUNK:
        for data in buffers:
            page.tell(junk, data)
    assert_goes_on(page, stream="two")


@pytest.mark.parametrize("number", range(len(BAD_LINES)))
def test_lines_that_are_none(page: PlainPage, number: int) -> None:
    """In the stream itself; what follows is another one, as after a recorder's restart."""
    page.live(training().lines())
    page.events(BAD_LINES[number])
    page.settle()
    assert_goes_on(page, stream="two")


def assert_goes_on(page: PlainPage, stream: str) -> None:
    """A session that comes now is shown, and grows."""
    tale = training()
    number = tale.begin("what comes after", {})
    tale.end(number)
    page.snapshot(tale.lines(), stream=stream, position=100)
    expect(page.panel.locator(".jg-cell").filter(has_text="what comes after")).to_be_visible()
    number = tale.begin("and what comes then", {})
    tale.end(number)
    lines = b"".join(tale.lines().splitlines(keepends=True)[-2:])
    page.events(lines + encode(PowerSampled(**tale.stamp(1.0))), start=100, stream=stream)
    expect(page.panel.locator(".jg-cell").filter(has_text="and what comes then")).to_be_visible()


# --- in JupyterLab ------------------------------------------------------------------------

FILE = "<img src=x onerror=alert(1)> & “quoted”.ipynb"

NAMED = f"""\
%%energy --label "{IMAGE}"
from jupyter_green import log
for step in range(3):
    log({{{IMAGE!r}: step / 3}}, step=step, run={SCRIPT!r})
"""
FAILING = f"""\
# {IMAGE}{SCRIPT}
raise type({IMAGE!r}, (Exception,), {{}})("{SCRIPT}")
"""


@pytest.fixture
def tracked(browser: Browser, lab: Lab) -> Iterator[LabPage]:
    dialogs: list[str] = []

    def refuse(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    with opened(browser, lab) as page:
        page.page.on("dialog", refuse)
        yield page
    lab.end_sessions()
    assert not dialogs


def begin(page: LabPage, *cells: str, name: str = "test.ipynb") -> None:
    page.open(page.lab.write_notebook(cells, name=name))
    page.show_panel().get_by_role("button", name="Start tracking").click()
    page.panel.locator('.jg-panel[data-phase="live"]').wait_for()


def row(page: LabPage, label: str) -> Locator:
    return page.panel.locator(".jg-cell").filter(has_text=label)


def test_names_in_jupyterlab(tracked: LabPage) -> None:
    page = tracked
    page.lab.write_notebook([NAMED, FAILING, "'still there'"], name=FILE)
    page.page.goto(f"{page.lab.url}lab?token={page.lab.token}&reset")
    page.page.wait_for_function("() => window.jupyterapp")
    page.page.evaluate("async () => { await jupyterapp.restored; }")
    page.page.evaluate("path => jupyterapp.commands.execute('docmanager:open', {path})", FILE)
    page.wait_open()
    page.show_panel().get_by_role("button", name="Start tracking").click()
    page.panel.locator('.jg-panel[data-phase="live"]').wait_for()
    for number in range(3):
        page.run(number)
    expect(row(page, "still there")).to_be_visible()
    expect(row(page, IMAGE).first).to_be_visible()
    expect(page.panel.locator(".jg-notebook")).to_have_text(FILE)
    expect(page.page.locator(".jg-badge").nth(1)).to_contain_text(IMAGE)
    row(page, IMAGE).first.hover()
    assert page.page.evaluate(_MADE, OURS) == []
    assert_plain_text(page.panel)


SAY = """\
import json, random, time, zlib
def say(data, buffers=()):
    kernel = get_ipython().kernel
    content = {"comm_id": "jupyter_green", "data": data}
    kernel.session.send(kernel.iopub_socket, "comm_msg", content, buffers=list(buffers))
"""
FLOOD = """\
junk = json.loads({junk!r})
random.seed(4)
for one in junk:
    for buffers in ((), (b"",), (b"not compressed",), (random.randbytes(5000),) * 3):
        say(one, buffers)
zeros = zlib.compress(bytes(100_000_000))
say({{"type": "snapshot", "stream": "bomb", "part": 0, "parts": 1, "next": 10**9}}, [zeros])
say({{"type": "events", "stream": "bomb", "from": 10**9, "next": 10**9 + 1}}, [zeros])
"said"
"""


def test_garbage_from_the_kernel(tracked: LabPage) -> None:
    """A cell says it all on our comm; the panel goes on with what the recorder tells."""
    page = tracked
    begin(
        page,
        SAY,
        FLOOD.format(junk=json.dumps(JUNK)),
        "'after the flood'",
        "import time; time.sleep(1)",
    )
    page.run(0)
    page.run(1)
    assert "said" in page.output(1)
    page.run(2)
    expect(row(page, "after the flood")).to_be_visible(timeout=15_000)
    page.run(3)
    expect(row(page, "time.sleep(1)")).to_contain_text("J", timeout=15_000)
    expect(page.panel.locator(".jg-panel")).to_have_attribute("data-phase", "live")
    page.panel.get_by_role("button", name="Pause tracking").click()
    expect(page.panel.get_by_text("Tracking is paused.")).to_be_visible()


_TO_KERNEL = """async ([comm_id, junk]) => {
    const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const refused = [];
    kernel.iopubMessage.connect((_, {header, content}) => {
        if (header.msg_type === 'comm_msg' && content.comm_id === comm_id
            && content.data.type === 'refused') {
            refused.push(content.data.reason);
        }
    });
    for (const [index, data] of junk.entries()) {
        const header = {
            msg_id: `junk-${index}`, msg_type: 'comm_msg', session: kernel.clientId,
            username: kernel.username, version: '5.3', date: new Date().toISOString()
        };
        kernel.sendShellMessage({
            header, parent_header: {}, metadata: {}, buffers: [], channel: 'shell',
            content: {comm_id, data}
        }, false, true);
    }
    const until = Date.now() + 10_000;
    while (refused.length < junk.length && Date.now() < until) {
        await new Promise(resolve => setTimeout(resolve, 50));
    }
    return refused;
}"""

TO_KERNEL: tuple[Any, ...] = (
    {},
    {"type": "hello"},
    {"type": "hello", "protocol": "1", "version": 5, "client": "c"},
    {"type": "watch", "client": "c", "visible": True, "refresh_s": 0},
    {"type": "watch", "client": "x" * 100_000, "visible": True},
    {"type": "watch", "client": "c", "visible": True, "next": -1},
    {"type": "track", "on": "no"},
    {"type": "ask", "request": 1, "client": "c", "what": "everything"},
    {"type": "ask", "request": 2, "client": "c", "what": "place", "argument": IMAGE},
    {"type": "ask", "request": 3, "client": "c", "what": "export", "argument": "exe"},
    {"type": "eval", "code": "1"},
)


def test_garbage_to_the_kernel(tracked: LabPage) -> None:
    """Each is answered with a reason; the kernel says nothing in the notebook, and goes on."""
    page = tracked
    begin(page, "1", "'after the junk'")
    page.run(0)
    refused = page.page.evaluate(_TO_KERNEL, [COMM_ID, list(TO_KERNEL)])
    assert len(refused) == len(TO_KERNEL), refused
    assert all(refused)
    page.run(1)
    assert "'after the junk'" in page.output(1)
    assert "Error" not in page.output(1)
    expect(row(page, "after the junk")).to_contain_text("J")
