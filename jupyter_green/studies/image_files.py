"""Image collections from the user's own files: FashionMNIST, MNIST and CIFAR-10.

Two formats: idx (LeCun, Cortes and Burges, "The MNIST database": big-endian header, then bytes),
plain or as ``.gz``, and the Python batches of CIFAR-10 (Krizhevsky, 2009). These are pickles, which
may run code of whoever made them; here nothing but arrays of NumPy can come out of one.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_green.errors import SettingError
from jupyter_green.optional import require
from jupyter_green.report.inert import short

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""Files of MNIST and FashionMNIST: images and labels for training, then for the test."""
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
"""Files of CIFAR-10; the last one is for the test."""
CIFAR_SHAPE = (3, 32, 32)
_FOLDERS = ("", "raw", "FashionMNIST/raw", "MNIST/raw", "cifar-10-batches-py")
"""Where these files are in a folder that the user, or torchvision, has filled."""
_UNSIGNED_BYTES = 0x08
_LARGEST = 2**30
"""Bytes of one file: five times what the largest of these have."""


@dataclass(frozen=True)
class Images:
    """Images and their classes, as bytes."""

    train_images: Bytes
    """Count x channels x height x width, 0 to 255."""
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def read_images(folder: str | PathLike[str]) -> Images:
    """The images in a folder with the files of MNIST, FashionMNIST or CIFAR-10.

    ::

        read_images("FashionMNIST/raw").train_images.shape  # (60000, 1, 28, 28)

    Nothing is downloaded: the files are the user's own.

    Raises:
        SettingError: there are no such files, or one cannot be read or is no such file.
    """
    place = Path(folder)
    for inner in _FOLDERS:
        found = _all_of(place / inner, IDX, ("", ".gz"))
        if found:
            return _of_idx(found)
        found = _all_of(place / inner, BATCHES, ("",))
        if found:
            return _of_batches(found)
    raise SettingError(
        f"{short(str(place))} has no images: put {IDX[0]}[.gz] and its three companions there "
        f"(FashionMNIST), or {BATCHES[0]} to {BATCHES[-2]} and {BATCHES[-1]} (CIFAR-10)"
    )


def _all_of(folder: Path, names: Sequence[str], endings: Sequence[str]) -> list[Path]:
    """Each file with one of the endings; none, where one of them is absent."""
    found = [
        next((path for end in endings if (path := folder / f"{name}{end}").is_file()), None)
        for name in names
    ]
    present = [path for path in found if path is not None]
    return present if len(present) == len(names) else []


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is a ``.gz``."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SettingError(f"{short(str(path))} cannot be read: {short(str(error))}") from error
    if len(content) > _LARGEST:
        raise SettingError(f"{short(str(path))} has more than {_LARGEST:,} bytes")
    return content


# --- idx ----------------------------------------------------------------------------------


def _of_idx(paths: Sequence[Path]) -> Images:
    images, labels, test_images, test_labels = (
        _idx(path, dimensions) for path, dimensions in zip(paths, (3, 1, 3, 1), strict=True)
    )
    _check_counts(paths[0], images, labels)
    _check_counts(paths[2], test_images, test_labels)
    return Images(images[:, None], labels, test_images[:, None], test_labels)


def _idx(path: Path, dimensions: int) -> Bytes:
    """An array of bytes with so many dimensions."""
    content = _content(path)
    start = 4 * (1 + dimensions)
    if len(content) < start or content[:4] != bytes([0, 0, _UNSIGNED_BYTES, dimensions]):
        raise SettingError(f"{short(str(path))} is no idx file of {dimensions} dimensions of bytes")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) - start != math.prod(shape):
        raise SettingError(
            f"{short(str(path))} has {len(content) - start:,} bytes, and its header says "
            f"{math.prod(shape):,}: get it anew"
        )
    numpy = require("numpy")
    found: Bytes = numpy.frombuffer(content, numpy.uint8, offset=start).reshape(shape)
    return found


# --- batches ------------------------------------------------------------------------------


def _of_batches(paths: Sequence[Path]) -> Images:
    numpy = require("numpy")
    batches = [_batch(path) for path in paths]
    images, labels = (numpy.concatenate(parts) for parts in zip(*batches[:-1], strict=True))
    return Images(images, labels, *batches[-1])


def _batch(path: Path) -> tuple[Bytes, Bytes]:
    numpy = require("numpy")
    try:
        batch = _Arrays(io.BytesIO(_content(path)), encoding="bytes").load()
        images = numpy.asarray(batch[b"data"])
        labels = numpy.asarray(batch[b"labels"])
        if (
            images.dtype != numpy.uint8
            or labels.ndim != 1
            or not ((labels >= 0) & (labels < 256)).all()
        ):
            raise ValueError("data and labels are no bytes")
        images = images.reshape(-1, *CIFAR_SHAPE)
    except SettingError:
        raise
    except Exception as error:  # a pickle that is none may raise anything
        raise SettingError(
            f"{short(str(path))} is no Python batch of CIFAR-10: {short(str(error))}"
        ) from error
    labels = labels.astype(numpy.uint8)
    _check_counts(path, images, labels)
    return images, labels


class _Arrays(pickle.Unpickler):
    """Reads arrays of NumPy and plain values, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        numpy = require("numpy")
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(numpy, name)
        if module in {"numpy.core.multiarray", "numpy._core.multiarray"} and name == "_reconstruct":
            return _empty_array
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which no array needs")


def _empty_array(*_: object) -> Bytes:
    """What an array's pickle begins with: its content follows."""
    found: Bytes = require("numpy").ndarray((0,), "b")
    return found


def _check_counts(path: Path, images: Bytes, labels: Bytes) -> None:
    if not len(images) == len(labels) > 0:
        raise SettingError(
            f"{short(str(path))}: {len(images):,} images and {len(labels):,} labels do not match"
        )
