"""The house has floors: a room imports from the floors below it, never from above or beside it.

That keeps a view from reaching into a sensor, and lets each floor be tested without those above.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "jupyter_green"


@dataclass(frozen=True)
class Floor:
    name: str
    # Sub-floors, bottom to top; most floors have one.
    steps: tuple[frozenset[str], ...]
    # Whether rooms of one step may import each other.
    open_plan: bool = False


def floor(name: str, *steps: str, open_plan: bool = False) -> Floor:
    return Floor(name, tuple(frozenset(step.split()) for step in steps), open_plan)


FLOORS = (
    floor("ground", "units errors clock settings configurable processes optional", open_plan=True),
    floor("stream", "events", "sessions"),
    floor("supply", "sources carbon"),
    floor("recorder", "recorder"),
    floor("judgement", "insight"),
    floor("views", "report doctor"),
    floor("uses", "studies integrations"),
    floor("front doors", "notebook cli api"),
)
# Loaded before or around everything: they may name anything, but only when it is used.
LOBBY = frozenset({"__init__", "__main__", "_version"})
# The two names that need no room of their own.
FREE = frozenset({"__version__", "_version"})
# Files, no code.
DATA = "data"


FOR_TYPES = frozenset({"TYPE_CHECKING", "typing.TYPE_CHECKING"})


@dataclass(frozen=True)
class Import:
    line: int
    target: str
    at_load: bool


def violations(package: Path, floors: tuple[Floor, ...] = FLOORS) -> list[str]:
    """Every import in `package` that does not go down, and every room that is on no floor."""
    rooms = rooms_of(package)
    known = {room for level in floors for step in level.steps for room in step}
    found = [
        f"{room}: on no floor; give it one in FLOORS, or move it into a room"
        for room in sorted(rooms - known - LOBBY - {DATA})
    ]
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package)
        tree = ast.parse(path.read_bytes(), filename=str(path))
        if where.parts[0] == DATA:
            if has_code(tree):
                found.append(f"{where.as_posix()}: code in the room for data")
            continue
        room = where.parts[0].removesuffix(".py")
        for item in imports_of(tree, module_of(package, path), path.name == "__init__.py"):
            top, _, inside = item.target.partition(".")
            if top != package.name:
                continue
            name = inside.partition(".")[0]
            if room in LOBBY:
                complaint = judge_lobby(item, name, rooms | known)
            else:
                complaint = judge(room, item, name, rooms | known, floors)
            if complaint:
                found.append(f"{where.as_posix()}:{item.line}: {complaint}")
    return found


def rooms_of(package: Path) -> set[str]:
    modules = {path.stem for path in package.glob("*.py")}
    return modules | {path.relative_to(package).parts[0] for path in package.glob("*/**/*.py")}


def module_of(package: Path, path: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def has_code(tree: ast.Module) -> bool:
    docstring = 1 if ast.get_docstring(tree) is not None else 0
    return len(tree.body) > docstring


def judge_lobby(item: Import, name: str, rooms: set[str]) -> str | None:
    if item.at_load and name in rooms - LOBBY:
        return f"imports {name} when it is loaded, not when it is used"
    return None


def judge(
    room: str, item: Import, name: str, rooms: set[str], floors: tuple[Floor, ...]
) -> str | None:
    """What is wrong with this import of the room `name`, if anything."""
    if name in FREE or name == room:
        return None
    # `from jupyter_green import log`: a public name, which `__init__` takes from some room.
    if name not in rooms - LOBBY:
        return f"imports {item.target} through the front; take it from the room that defines it"
    if name == DATA:
        return f"imports {DATA}, which holds files: read them with importlib.resources"
    if may_import(room, name, floors):
        return None
    return f"{room} ({floor_name(room, floors)}) imports {name} ({floor_name(name, floors)})"


def may_import(room: str, other: str, floors: tuple[Floor, ...]) -> bool:
    heights = {
        name: (height, level.open_plan)
        for height, (level, step) in enumerate((lev, step) for lev in floors for step in lev.steps)
        for name in step
    }
    # A room on no floor is reported as such, once.
    if room not in heights or other not in heights:
        return True
    (mine, open_plan), (theirs, _) = heights[room], heights[other]
    return theirs < mine or (theirs == mine and open_plan)


def floor_name(room: str, floors: tuple[Floor, ...]) -> str:
    names = (level.name for level in floors for step in level.steps if room in step)
    return next(names, "no floor")


def imports_of(tree: ast.Module, module: str, is_package: bool) -> Iterator[Import]:
    """All imports, also those in functions, under TYPE_CHECKING, and by importlib."""
    package = module if is_package else module.rpartition(".")[0]
    for node, at_load in walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
            for target in targets(node, package):
                yield Import(node.lineno, target, at_load)


def walk(node: ast.AST, at_load: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it runs when the module is loaded."""
    yield node, at_load
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        at_load = False
    if isinstance(node, ast.If) and ast.unparse(node.test) in FOR_TYPES:
        for typed in node.body:
            yield from walk(typed, False)
        for other in node.orelse:
            yield from walk(other, at_load)
        return
    for child in ast.iter_child_nodes(node):
        yield from walk(child, at_load)


def targets(node: ast.Import | ast.ImportFrom | ast.Call, package: str) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            # One dot is the package itself, each further one a package up.
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            start = ".".join([*above, *([module] if module else [])])
            return [f"{start}.{alias.name}" for alias in names]
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]):
            called = ast.unparse(func).rpartition(".")[2]
            return [name] if called in {"import_module", "__import__"} else []
    return []


def test_imports_go_down() -> None:
    assert rooms_of(PACKAGE) > LOBBY & {"__init__"}, f"no package found at {PACKAGE}"
    assert violations(PACKAGE) == []


HEAVY = [
    "altair",
    "dask",
    "keras",
    "lightgbm",
    "lightning",
    "mlflow",
    "nbclient",
    "numpy",
    "optuna",
    "pandas",
    "psutil",
    "pynvml",
    "sklearn",
    "torch",
    "transformers",
    "wandb",
    "xgboost",
]


@pytest.fixture(scope="module")
def loaded_by_import() -> set[str]:
    code = """
import json, sys
before = set(sys.modules)
import jupyter_green
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", HEAVY)
def test_import_is_light(name: str, loaded_by_import: set[str]) -> None:
    assert "jupyter_green" in loaded_by_import
    assert name not in loaded_by_import


# The checker itself, on small houses that break one rule each.


def build(root: Path, files: dict[str, str]) -> Path:
    package = root / "house"
    for name, source in {"__init__.py": "", **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return package


HOUSE = (
    floor("ground", "units errors", open_plan=True),
    floor("stream", "events", "sessions"),
    floor("views", "report doctor"),
)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"report/html.py": "from ..units import joules"}, id="down"),
        pytest.param({"report/html.py": "from house import sessions, units"}, id="down, by name"),
        pytest.param({"report/html.py": "from . import charts\nimport house.report"}, id="within"),
        pytest.param({"units.py": "from . import errors"}, id="across an open floor"),
        pytest.param({"sessions/fold.py": "from house.events import Event"}, id="a step down"),
        pytest.param({"report/html.py": "from .. import __version__"}, id="the version"),
        pytest.param({"units.py": "import household\nimport json.decoder"}, id="other packages"),
        pytest.param({"__init__.py": "def load():\n    from .report import html"}, id="lazy lobby"),
        pytest.param(
            {"__init__.py": "if TYPE_CHECKING:\n    from .report import html"}, id="typed lobby"
        ),
        pytest.param({"data/__init__.py": '"""Tables."""'}, id="a docstring beside the data"),
    ],
)
def test_checker_accepts(tmp_path: Path, files: dict[str, str]) -> None:
    assert violations(build(tmp_path, files), HOUSE) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"units.py": "from .report import html"},
            "units.py:1: units (ground) imports report (views)",
            id="up",
        ),
        pytest.param(
            {"units.py": "def f():\n    import house.sessions.fold"},
            "units.py:2: units (ground) imports sessions (stream)",
            id="up, in a function",
        ),
        pytest.param(
            {"events.py": "if TYPE_CHECKING:\n    from house.sessions import Session"},
            "events.py:2: events (stream) imports sessions (stream)",
            id="a step up, for types",
        ),
        pytest.param(
            {"report/deep/html.py": "from ... import doctor"},
            "report/deep/html.py:1: report (views) imports doctor (views)",
            id="beside, relative",
        ),
        pytest.param(
            {"report/__init__.py": "from .. import doctor"},
            "report/__init__.py:1: report (views) imports doctor (views)",
            id="beside, from a package",
        ),
        pytest.param(
            {"events.py": "import importlib\nimportlib.import_module('house.report')"},
            "events.py:2: events (stream) imports report (views)",
            id="up, by importlib",
        ),
        pytest.param(
            {"report/html.py": "from house import log"},
            "report/html.py:1: imports house.log through the front; "
            "take it from the room that defines it",
            id="through the front",
        ),
        pytest.param(
            {"__init__.py": "from . import units"},
            "__init__.py:1: imports units when it is loaded, not when it is used",
            id="eager lobby",
        ),
        pytest.param(
            {"shed/tools.py": ""},
            "shed: on no floor; give it one in FLOORS, or move it into a room",
            id="a package on no floor",
        ),
        pytest.param(
            {"shed.py": ""},
            "shed: on no floor; give it one in FLOORS, or move it into a room",
            id="a module on no floor",
        ),
        pytest.param(
            {"data/load.py": "import csv"},
            "data/load.py: code in the room for data",
            id="code among the data",
        ),
    ],
)
def test_checker_finds(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    assert violations(build(tmp_path, files), HOUSE) == [expected]
