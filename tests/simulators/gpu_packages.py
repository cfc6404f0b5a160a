"""A ``torch`` and a ``cupy`` made of files, for machines without a GPU.

Their GPUs sleep instead of working. Every call that touches a device is written to ``calls``
beside the package, and so is its import; what the real CUDA forbids (a call in a capture that is
not allowed there, a context that nobody asked for) is written as well.
"""

from __future__ import annotations

from pathlib import Path

TORCH = """
import time
from pathlib import Path

def note(what):
    with open(Path(__file__).with_name("calls"), "a") as calls:
        calls.write(what + "\\n")

note("import")

class AcceleratorError(RuntimeError):
    pass

from . import _C, cuda
"""

TORCH_C = """
def _cuda_hasPrimaryContext(index):
    from torch import cuda
    return index in cuda.contexts
"""

TORCH_CUDA = '''
import time
from torch import AcceleratorError, note

COUNT = 3
contexts = set()
busy_until = dict.fromkeys(range(COUNT), 0.0)
capturing = set()
failure = None
_current = 0

# What the user does.

def launch(seconds, index=0):
    """Queue work; returns at once."""
    contexts.add(index)
    busy_until[index] = time.monotonic() + seconds

def forget():
    busy_until.update(dict.fromkeys(busy_until, 0.0))

def fail(message):
    """A kernel fails; the next call that looks at the device tells."""
    global failure
    contexts.add(0)
    failure = message

# What torch.cuda offers.

def is_initialized():
    return bool(contexts)

def device_count():
    return COUNT

def current_device():
    return _current

class device:
    def __init__(self, index):
        self.index = index
    def __enter__(self):
        global _current
        self.before, _current = _current, self.index
    def __exit__(self, *_):
        global _current
        _current = self.before

def is_current_stream_capturing():
    return _current in capturing

def synchronize(index=None):
    index = _current if index is None else index
    note(f"synchronize {index}")
    _touch(index)
    _wait(index)

def _wait(index):
    while time.monotonic() < busy_until[index]:
        time.sleep(0.01)
    if failure is not None:
        raise AcceleratorError(failure)

class Stream:
    def __init__(self, index):
        self.index = index
    def query(self):
        note(f"query {self.index}")
        _touch(self.index)
        if failure is not None:
            raise AcceleratorError(failure)
        return time.monotonic() >= busy_until[self.index]

def current_stream(index=None):
    return Stream(_current if index is None else index)

def _touch(index):
    if capturing:
        note("broke a capture")
    if index not in contexts:
        note("made a context")
'''

CUPY = """
from pathlib import Path

def note(what):
    with open(Path(__file__).with_name("calls"), "a") as calls:
        calls.write(what + "\\n")

note("import")
from . import cuda
"""

CUPY_CUDA = """
import time
from types import SimpleNamespace
from cupy import note

NOT_READY = 600
context = None
busy_until = 0.0
capturing = "no"
failure = 0
last_error = 0

class CUDADriverError(RuntimeError):
    pass

class CUDARuntimeError(RuntimeError):
    def __init__(self, status):
        self.status = status
        super().__init__(f"cudaError{status}")

def launch(seconds):
    global context, busy_until
    context, busy_until = 7, time.monotonic() + seconds

def _get_context():
    if context is None:
        raise CUDADriverError("CUDA_ERROR_NOT_INITIALIZED: initialization error")
    return context

def _query(pointer):
    global last_error
    note("query")
    if capturing != "no":
        note("broke a capture")
    last_error = failure or (NOT_READY if time.monotonic() < busy_until else 0)
    return last_error

def _check_status(status):
    global last_error
    if status:
        last_error = 0
        raise CUDARuntimeError(status)

def _synchronize():
    note("synchronize")
    if not context:
        note("made a context")
    if capturing != "no":
        note("broke a capture")
    while time.monotonic() < busy_until:
        time.sleep(0.01)
    _check_status(failure)

class Stream:
    ptr = 0
    def is_capturing(self):
        if capturing == "implicit":
            raise CUDARuntimeError("StreamCaptureImplicit")
        return capturing == "yes"

driver = SimpleNamespace(ctxGetCurrent=_get_context)
runtime = SimpleNamespace(
    getDevice=lambda: 1,
    deviceSynchronize=_synchronize,
    streamQuery=_query,
    check_status=_check_status,
)

def get_current_stream():
    return Stream()
"""


class GpuPackages:
    """Both packages in one directory, which has to stand on the path of who imports them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        _write(directory / "torch", __init__=TORCH, _C=TORCH_C, cuda=TORCH_CUDA)
        _write(directory / "cupy", __init__=CUPY, cuda=CUPY_CUDA)

    def calls(self, package: str = "torch") -> list[str]:
        """What was asked of a package so far; empty: it was never imported."""
        path = self.directory / package / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _write(directory: Path, **modules: str) -> None:
    directory.mkdir(parents=True)
    for name, code in modules.items():
        (directory / f"{name}.py").write_text(code, encoding="utf-8")
