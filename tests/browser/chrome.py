"""The browser of the tests: an installed Chrome, Chromium or Edge, else playwright's own.

``python -m tests.browser.chrome`` tells which, and downloads one where there is none that starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, BrowserType, Error, sync_playwright

PROGRAMS = (
    "google-chrome",
    "google-chrome-stable",
    "chromium",
    "chromium-browser",
    "microsoft-edge",
    "microsoft-edge-stable",
)
MAC = ("Google Chrome", "Chromium", "Microsoft Edge")
WINDOWS = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
WINDOWS_ROOTS = ("ProgramFiles", "ProgramFiles(x86)", "LocalAppData")


class NoBrowserError(Exception):
    """None starts; the message tells what was tried and what helps."""


def installed() -> list[Path]:
    """The browsers of this machine that playwright can drive, the preferred one first."""
    if sys.platform == "darwin":
        roots = (Path("/Applications"), Path.home() / "Applications")
        paths = [root / f"{name}.app/Contents/MacOS/{name}" for name in MAC for root in roots]
    elif sys.platform == "win32":
        known = [Path(os.environ[name]) for name in WINDOWS_ROOTS if name in os.environ]
        paths = [root / name for name in WINDOWS for root in known]
    else:
        paths = [Path(found) for found in map(shutil.which, PROGRAMS) if found]
    return [path for path in paths if path.exists()]


def launch(chromium: BrowserType) -> Browser:
    """The first browser that starts. Some are only stubs, so one has to try."""
    complaints = []
    for path in (*installed(), None):
        try:
            return chromium.launch(executable_path=path)
        except Error as error:
            reason = next(filter(None, map(str.strip, error.message.splitlines())), "no reason")
            complaints.append(f"{path or 'the one that playwright downloads'}: {reason}")
    raise NoBrowserError(
        "no browser starts; install Chrome, Chromium or Edge, or run `playwright install "
        f"chromium-headless-shell` and what it asks for. Tried: {'; '.join(complaints)}"
    )


def started() -> str:
    """The name of the browser that starts here."""
    with sync_playwright() as playwright, launch(playwright.chromium) as browser:
        return f"{browser.browser_type.name} {browser.version}"


def download() -> str:
    """Has playwright download its own; why it could not, or ""."""
    command = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
    done = subprocess.run(
        command, check=False, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    reasons = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    if not done.returncode:
        return ""
    return reasons[-1] if reasons else f"exit code {done.returncode}"


def main() -> int:
    try:
        print(started())
        return 0
    except NoBrowserError:
        print("no installed browser starts here: playwright downloads one", flush=True)
    failure = download()
    try:
        print(started())
        return 0
    except NoBrowserError as error:
        reason = f" (the download failed: {failure})" if failure else ""
        print(f"{error}{reason}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
