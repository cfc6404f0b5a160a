"""Waits for GPUs before a stamp, and tells which are still at work: work there is asynchronous.

Only packages that the user's code has imported are asked, and only for devices on which this
process has a context already: nothing is imported here, and CUDA is never initialised. While a
stream is captured into a graph no device is touched, since that would break the capture.

An error of CUDA that comes out of waiting is the user's: their work has failed, and this is the
first call to notice. Whatever else goes wrong is ours, and is kept among the problems.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

NOT_READY = 600
"""``cudaErrorNotReady`` of CUDA's runtime, and its twin of HIP."""


class Device(Protocol):
    """A GPU on which this process has a context."""

    @property
    def name(self) -> str: ...

    def is_capturing(self) -> bool: ...

    def wait(self) -> None: ...

    def is_busy(self) -> bool: ...


def synchronize(problems: list[str]) -> None:
    """Wait until every GPU that this process uses has done its work.

    Args:
        problems: gains a sentence where something keeps us from waiting.

    Raises:
        RuntimeError: the user's work has failed. ``torch.AcceleratorError`` and cupy's
            ``CUDARuntimeError`` are of this kind.
    """
    for device in _devices(problems):
        try:
            device.wait()
        except Exception as error:
            if _is_of_cuda(error):
                raise
            _keep(problems, f"{device.name} could not be waited for", error)


def busy_devices(problems: list[str]) -> list[str]:
    """GPUs whose current stream has work pending, as ``cuda:0``. Does not wait.

    An error of CUDA is left to the user's next call, which meets it as if nobody had asked.
    """
    busy = set()
    for device in _devices(problems):
        try:
            if device.is_busy():
                busy.add(device.name)
        except Exception as error:
            if not _is_of_cuda(error):
                _keep(problems, f"{device.name} did not tell whether it is busy", error)
    return sorted(busy)


def _devices(problems: list[str]) -> Sequence[Device]:
    """The devices in use, or none while one of them is capturing.

    A capture on one device forbids waiting for any.
    """
    devices: list[Device] = []
    for package, look in _PACKAGES.items():
        module = sys.modules.get(package)
        if module is None:
            continue
        try:
            found = look(module)
            if any(device.is_capturing() for device in found):
                return []
            devices += found
        except Exception as error:
            _keep(problems, f"{package} did not tell which GPUs it uses", error)
    return devices


def _is_of_cuda(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError)


def _keep(problems: list[str], what: str, error: Exception) -> None:
    problem = f"{what}: {type(error).__name__}: {error}"
    if problem not in problems:
        problems.append(problem)


def _captures(ask: Callable[[], Any]) -> bool:
    """Whether a stream is capturing; a stream that must not be asked then says so."""
    try:
        return bool(ask())
    except RuntimeError as error:
        # Any other error is that of failed work, and comes up again where it is handled.
        return "captur" in str(error).lower()


# --- PyTorch ------------------------------------------------------------------------------


class _TorchDevice:
    def __init__(self, cuda: Any, index: int) -> None:
        self._cuda = cuda
        self._index = index
        self.name = f"cuda:{index}"

    def is_capturing(self) -> bool:
        ask = getattr(self._cuda, "is_current_stream_capturing", None)
        if ask is None:
            return False  # before 1.10 there were no graphs
        with self._cuda.device(self._index):
            return _captures(ask)

    def wait(self) -> None:
        self._cuda.synchronize(self._index)

    def is_busy(self) -> bool:
        return self._cuda.current_stream(self._index).query() is False


def _torch_devices(torch: Any) -> list[Device]:
    cuda = getattr(torch, "cuda", None)
    # Absent in a torch that is still being imported. False in a forked child, too.
    is_initialized = getattr(cuda, "is_initialized", None)
    if cuda is None or is_initialized is None or is_initialized() is not True:
        return []
    has_context = getattr(torch._C, "_cuda_hasPrimaryContext", None)
    if has_context is None:
        return [_TorchDevice(cuda, cuda.current_device())]
    return [_TorchDevice(cuda, i) for i in range(cuda.device_count()) if has_context(i)]


# --- CuPy ---------------------------------------------------------------------------------


class _CupyDevice:
    """The current device of this thread."""

    def __init__(self, cuda: Any) -> None:
        self._runtime = cuda.runtime
        self._stream = cuda.get_current_stream()
        self.name = f"cuda:{cuda.runtime.getDevice()}"

    def is_capturing(self) -> bool:
        return _captures(self._stream.is_capturing)

    def wait(self) -> None:
        self._runtime.deviceSynchronize()

    def is_busy(self) -> bool:
        # Not ``stream.done``: CUDA keeps "not ready" as the thread's last error, in which another
        # library would believe to see its own. ``check_status`` clears it.
        try:
            self._runtime.check_status(self._runtime.streamQuery(self._stream.ptr))
        except RuntimeError as error:
            return getattr(error, "status", None) == NOT_READY
        return False


def _cupy_devices(cupy: Any) -> list[Device]:
    cuda = getattr(cupy, "cuda", None)
    driver = getattr(cuda, "driver", None)
    if driver is None:
        return []
    try:
        context = driver.ctxGetCurrent()
    except RuntimeError:
        return []  # the driver has not been initialised: nothing has run
    return [_CupyDevice(cuda)] if context else []


_PACKAGES: dict[str, Callable[[Any], list[Device]]] = {
    "torch": _torch_devices,
    "cupy": _cupy_devices,
}
