"""What users give, as it goes into events: names, first lines, hashes, numbers."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import threading
import time
from pathlib import Path

from msgspec import structs

from jupyter_green.errors import MetricError
from jupyter_green.events import Tags

WRAPPERS = ("%%energy", "%%time", "%%capture", "%%prun")
"""Cell magics that run the lines below them as Python: what follows says more."""
NAME_MOST = 500
"""Characters of a label, a run or a metric in the journal."""
FIRST_LINE = 120
"""Characters of a cell's first line that the journal keeps as its name."""

_HIGHER = "acc accuracy auc auroc bleu dice f1 iou map precision r2 recall rouge score top1 top5"
_LOWER = "cer error fid loss mae mape mse nll perplexity ppl rmse wer"
HIGHER, LOWER = frozenset(_HIGHER.split()), frozenset(_LOWER.split())


def new_session_id() -> str:
    """``20261120T192610-3fa4b2``: sorts by start, unique without asking anybody."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def digest(text: str) -> str:
    """Sixteen hexadecimal digits that stand for a text without telling it."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def writable(text: str) -> str:
    """The text without lone surrogates, which no file or pipe could take."""
    return text.encode("utf-8", "replace").decode()


def short_name(text: str) -> str:
    """The same for a name that a user gives: every mark carries it, and no view shows more."""
    return writable(text[:NAME_MOST])


def writable_tags(tags: Tags) -> Tags:
    """The tags as names."""
    texts = {name: getattr(tags, name) for name in ("label", "stage", "technique")}
    return structs.replace(
        tags, **{name: short_name(text) for name, text in texts.items() if text is not None}
    )


def first_line(source: str) -> str:
    """The first line that says what the cell does, as its name."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(WRAPPERS)]
    return (telling or lines or [""])[0][:FIRST_LINE]


def likely_direction(name: str) -> str | None:
    """Whether more is better, where the metric's usual name tells."""
    words = set(re.split(r"[\W_]+", name.lower()))
    if words & LOWER:
        return "lower"
    return "higher" if words & HIGHER else None


def thread_kind() -> str:
    """main, or thread for any other."""
    return "main" if threading.current_thread() is threading.main_thread() else "thread"


def as_number(name: str, value: object) -> float:
    """A metric's value as a float; takes what NumPy, PyTorch and others call a scalar.

    Raises:
        MetricError: it is no number.
    """
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except Exception as error:  # each library has its own for what is no scalar
        raise MetricError(
            f"metric {name!r} must be one number, it is {_shown(value)} "
            f"({type(value).__name__}); log a scalar such as float(value.mean())"
        ) from error


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except Exception:  # an integer of more than 4300 digits, for one
        return "something else"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def notebook_name() -> str | None:
    """The notebook's path as Jupyter tells its kernels, else the script's."""
    name = os.environ.get("JPY_SESSION_NAME")
    if name:
        return name
    if "ipykernel" not in sys.modules and sys.argv and sys.argv[0]:
        script = Path(sys.argv[0])
        # Programs that were started by `python -m`, as IPython is, have no name of their own.
        if script.suffix == ".py" and script.name != "__main__.py":
            return script.name
    return None


def visible_devices() -> str | None:
    """``CUDA_VISIBLE_DEVICES``, which a notebook may set in any cell before CUDA starts."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if visible is None else writable(visible)
