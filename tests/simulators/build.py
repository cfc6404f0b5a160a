"""Compile the small C programs of the simulators with whatever C compiler is at hand."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD_DIRECTORY = Path(__file__).parent / ".build"
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")
_COMPILE_TIMEOUT_S = 180.0


class BuildError(RuntimeError):
    """There is no C compiler, or it refused the source."""


def find_compiler() -> list[str]:
    """The command that compiles C: ``$CC``, cc, gcc or clang, else the wheel ``ziglang``."""
    named = shlex.split(os.environ.get("CC", ""))
    if named and shutil.which(named[0]):
        return named
    for candidate in ("cc", "gcc", "clang"):
        if found := shutil.which(candidate):
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise BuildError("no C compiler found: install gcc or clang, or run `pip install ziglang`")


def compile_c(source: Path, *, shared: bool = False, name: str | None = None) -> Path:
    """Compile one C file to a program, or to a shared library called ``name``, and return its path.

    The result is cached by its content. Several processes may ask for it at the same time.
    """
    name = name or (f"{source.stem}.so" if shared else source.stem)
    # -lm comes last: the linker takes from a library only what it was asked for before.
    extra = ("-shared", "-fPIC", f"-Wl,-soname,{name}") if shared else ()
    command = [*find_compiler(), *_FLAGS, *extra]
    target = BUILD_DIRECTORY / f"{source.stem}-{_digest(source, command)}" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _compile([*command, str(source)], target)
    return target


def _digest(source: Path, command: list[str]) -> str:
    text = "\0".join(command).encode() + b"\0" + source.read_bytes()
    return hashlib.sha256(text).hexdigest()[:16]


def _compile(command: list[str], target: Path) -> None:
    # Built aside and renamed, so that a parallel worker never starts half a program.
    with tempfile.TemporaryDirectory(dir=BUILD_DIRECTORY) as scratch:
        built = Path(scratch) / target.name
        done = subprocess.run(
            [*command, "-o", str(built), "-lm"],
            capture_output=True,
            text=True,
            timeout=_COMPILE_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"{shlex.join(command)} failed:\n{done.stderr}")
        built.replace(target)
