"""What `pip install .` brings: built from a clean copy, on a machine without Node.js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import jupyter_green

from .kernels import ROOT

# The first time Node.js and the packages of the front end are downloaded.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHARED = f"jupyter_green-{jupyter_green.__version__}.data/data/share/jupyter/labextensions"
EXTENSION = f"{SHARED}/jupyter-green/"
NODE = ("node", "nodejs", "npm", "npx", "yarn", "jlpm", "corepack")
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Built:
    copy: Path
    sdist: dict[str, bytes]
    wheel: dict[str, bytes]
    wheel_of_sdist: dict[str, bytes]


def copy_of_the_checkout(target: Path) -> None:
    """As a clone of the next commit would be."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def path_without_node(directory: Path) -> str:
    """Links to all programs of the PATH but Node.js's."""
    directory.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            link = directory / program.name
            if program.name not in NODE and not os.path.lexists(link):
                link.symlink_to(program)
    assert not any(shutil.which(name, path=str(directory)) for name in NODE)
    return str(directory)


def python(*arguments: str | Path, place: Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=place,
        env={**os.environ, **environment},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, done.stdout


def files_of_wheel(directory: Path) -> dict[str, bytes]:
    (path,) = directory.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def files_of_sdist(directory: Path) -> dict[str, bytes]:
    (path,) = directory.glob("*.tar.gz")
    found = {}
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            if content is not None:
                found[member.name.partition("/")[2]] = content.read()
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    place = tmp_path_factory.mktemp("packaging")
    copy, path = place / "copy", path_without_node(place / "bin")
    copy_of_the_checkout(copy)
    pip = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir")
    python(*pip, place / "wheel", copy, place=place, PATH=path)
    python("-m", "build", "--sdist", "--outdir", place / "sdist", copy, place=place, PATH=path)
    (archive,) = (place / "sdist").iterdir()
    # The archive needs no packages of the front end: here none could be had.
    nothing = {"YARN_NPM_REGISTRY_SERVER": NOWHERE, "YARN_ENABLE_NETWORK": "false"}
    python(*pip, place / "again", archive, place=place, PATH=path, **nothing)
    yield Built(
        copy,
        files_of_sdist(place / "sdist"),
        files_of_wheel(place / "wheel"),
        files_of_wheel(place / "again"),
    )
    shutil.rmtree(place, ignore_errors=True)


def test_the_wheel_holds_the_extension(built: Built) -> None:
    names = {name.removeprefix(EXTENSION) for name in built.wheel if name.startswith(EXTENSION)}
    package = json.loads(built.wheel[EXTENSION + "package.json"])
    remote_entry = package["jupyterlab"]["_build"]["load"]
    assert remote_entry in names
    assert any(name.startswith("static/") and name.endswith(".js") for name in names)
    assert "schemas/jupyter-green/plugin.json" in names
    assert json.loads(built.wheel[EXTENSION + "install.json"])["packageName"] == "jupyter-green"
    assert package["version"] == jupyter_green.__version__


def test_the_wheel_holds_the_inline_panel(built: Built) -> None:
    assert b"export" in built.wheel["jupyter_green/inline/panel.js"]


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    tops = {name.partition("/")[0].partition("-")[0] for name in built.wheel}
    assert tops == {"jupyter_green"}
    parts = {part for name in built.wheel for part in Path(name).parts}
    assert not parts & {"tests", "node_modules", "src", ".ci"}
    # It is where JupyterLab looks for it, and not a second time inside the package.
    assert not any(name.startswith("jupyter_green/labextension/") for name in built.wheel)


def test_nothing_tells_where_it_was_built(built: Built) -> None:
    trace = str(built.copy.parent).encode()
    for name, content in {**built.sdist, **built.wheel}.items():
        if name.endswith((".js", ".json", ".map", ".css")):
            assert trace not in content, name


def test_the_archive_holds_sources_and_built_files(built: Built) -> None:
    for name in (
        "labextension/package.json",
        "labextension/yarn.lock",
        "labextension/src/lab/index.ts",
        "labextension/.built.json",
        "jupyter_green/labextension/package.json",
        "jupyter_green/inline/panel.js",
    ):
        assert name in built.sdist
    assert not any("node_modules" in Path(name).parts for name in built.sdist)
    assert not any(name.startswith("labextension/lib/") for name in built.sdist)


def test_an_archive_installs_without_a_build(built: Built) -> None:
    """The wheel of the archive is the wheel of the checkout, byte for byte."""
    assert built.wheel_of_sdist.keys() == built.wheel.keys()
    different = [name for name in built.wheel if built.wheel[name] != built.wheel_of_sdist[name]]
    assert different == []


def test_no_registry_is_written_down(built: Built) -> None:
    for name in ("labextension/yarn.lock", "labextension/.yarnrc.yml"):
        content = built.sdist[name]
        assert b"http" not in content
        assert b"npmRegistryServer" not in content


def test_stale_javascript_is_built_anew(built: Built) -> None:
    """The rule of .ci/frontend.py, asked at its file."""
    ask = "import sys; sys.path.insert(0, '.ci'); from pathlib import Path; import frontend; "
    ask += "sys.exit(frontend.Frontend(Path.cwd()).is_current() is not {})"
    python("-c", ask.format(True), place=built.copy)
    for name in ("labextension/src/lab/index.ts", "jupyter_green/inline/panel.js"):
        file = built.copy / name
        before = file.read_bytes()
        file.write_bytes(before + b"\n")
        python("-c", ask.format(False), place=built.copy)
        file.write_bytes(before)
    python("-c", ask.format(True), place=built.copy)
