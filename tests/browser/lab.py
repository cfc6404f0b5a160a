"""A real JupyterLab or Notebook 7, in directories of its own, on a free port of the loopback."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import nbformat
import psutil

import jupyter_green
from tests.integration.kernels import PATIENCE_S, TIMEOUT_S, Home, kill, until

Application = Literal["lab", "notebook"]
Settings = Mapping[str, Mapping[str, Any]]

BUILT = Path(jupyter_green.__file__).parent / "labextension"
MODULES = {"lab": "jupyterlab", "notebook": "notebook"}
CLASSES = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}
QUIET: Settings = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}

# A proxy of the environment has no business on the loopback.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LabError(RuntimeError):
    """The server did not start, or answered with an error."""


class Lab:
    """One server, its notebooks and its kernels. ``serving`` sees to it that it ends."""

    def __init__(
        self,
        home: Home,
        application: Application,
        settings: Settings,
        options: Mapping[str, object],
    ) -> None:
        if not (BUILT / "package.json").is_file():
            raise LabError(f"{BUILT} holds no extension: run `jlpm build` in labextension/")
        self.home = home
        self.application = application
        self.token = secrets.token_hex(16)
        self._options = options
        self._offer_what_was_built()
        self.configure({**QUIET, **settings})
        self.log = home.root / f"{application}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=home.work, env=self._environment(), stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        self.url = until(self._find_url, TIMEOUT_S, f"a server: {self._last_words()}")
        until(self._answers, TIMEOUT_S, f"an answer of the server: {self._last_words()}")

    def configure(self, settings: Settings) -> None:
        """Settings by plugin id; those of a running server hold from the next page load on."""
        for plugin, values in settings.items():
            package, _, name = plugin.partition(":")
            directory = self.home.config / "lab/user-settings" / package
            directory.mkdir(parents=True, exist_ok=True)
            file = directory / f"{name}.jupyterlab-settings"
            file.write_text(json.dumps(values), encoding="utf-8")

    # --- notebooks

    def write_notebook(
        self, sources: Iterable[str], name: str = "test.ipynb", kernel: str = "python3"
    ) -> str:
        """A notebook of code cells; returns its name."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
        nbformat.write(notebook, self.home.work / name)
        return name

    def address(self, name: str) -> str:
        """Where a notebook opens, in a window as if for the first time."""
        if self.application == "notebook":
            return f"{self.url}notebooks/{name}?token={self.token}"
        return f"{self.url}lab/tree/{name}?token={self.token}&reset"

    # --- the server's own interface

    def api(self, path: str, method: str = "GET") -> Any:
        """What the server answers, as Python values; None: it answered nothing."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}api/{path}", headers=headers, method=method)
        with _direct.open(request, timeout=PATIENCE_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def end_sessions(self) -> None:
        """Shut every kernel down, as the user does in the list of running ones."""
        for kernel in self.api("kernels"):
            self.api(f"kernels/{kernel['id']}", "DELETE")

    def close(self) -> None:
        """Nothing that the server has started outlives it."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        self.home.close()
        for process in self._left():
            kill(process.pid)
        self._process.wait(PATIENCE_S)

    def _left(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("JUPYTER_DATA_DIR") == str(self.home.jupyter):
                    found.append(process)
        return found

    # --- starting

    def _offer_what_was_built(self) -> None:
        """The extension as it is built now, whatever the environment has been installed with."""
        shutil.copytree(BUILT, self.home.root / "labextensions/jupyter-green", dirs_exist_ok=True)

    def _command(self) -> list[str]:
        app = CLASSES[self.application]
        options = {
            "ServerApp.root_dir": self.home.work,
            # Two servers that start at once would find the same usual port free.
            "ServerApp.port": _free_port(),
            "IdentityProvider.token": self.token,
            "LabServerApp.extra_labextensions_path": self.home.root / "labextensions",
            f"{app}.extra_labextensions_path": self.home.root / "labextensions",
            # window.jupyterapp: the commands, as the palette runs them.
            f"{app}.expose_app_in_browser": True,
            "ServerApp.terminals_enabled": False,
            **self._options,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        module = MODULES[self.application]
        return [sys.executable, "-m", module, "--no-browser", "--ip=127.0.0.1", *root, *words]

    def _environment(self) -> dict[str, str]:
        return {**self.home.environment, "HOME": str(self.home.root)}

    def _find_url(self) -> str | None:
        self._must_live()
        file = self.home.runtime / f"jpserver-{self._process.pid}.json"
        with suppress(OSError, ValueError):
            return str(json.loads(file.read_text(encoding="utf-8"))["url"])
        return None

    def _answers(self) -> bool:
        self._must_live()
        with suppress(OSError):
            return bool(self.api("status")["started"])
        return False

    def _must_live(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise LabError(f"the server ended with {code}: {self._last_words()}")

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    home: Home,
    application: Application = "lab",
    settings: Settings | None = None,
    options: Mapping[str, object] | None = None,
) -> Iterator[Lab]:
    """A server for one block; ``options`` are further ones of its command line, by name."""
    lab = Lab(home, application, settings or {}, options or {})
    try:
        lab.wait_until_ready()
        yield lab
    finally:
        lab.close()
