"""FashionMNIST and CIFAR-10 from the user's files: tiny ones of the same formats."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from jupyter_green.errors import SettingError
from jupyter_green.studies.image_files import BATCHES, IDX, read_images


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def fashion(folder: Path, ending: str = "", counts: tuple[int, int] = (5, 2)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place, count in enumerate(counts):
        images = np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, values in zip(IDX[2 * place : 2 * place + 2], (images, labels), strict=True):
            content = idx(values)
            content = gzip.compress(content) if ending else content
            (folder / f"{name}{ending}").write_bytes(content)
    return folder


def batch(count: int, first: int = 0) -> bytes:
    """As Python 2 has pickled CIFAR-10: strings and data as bytes, the array by its parts."""
    data = bytes([first]) * (count * 3072)
    labels = b"".join(b"K" + bytes([number % 10]) for number in range(count))
    return (
        b"\x80\x02}(U\x06labels](" + labels + b"e"
        b"U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R("
        b"K\x01K" + bytes([count]) + b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R("
        b"K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", len(data)) + data + b"tbu."
    )


def cifar(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(BATCHES):
        (folder / name).write_bytes(batch(count, number))
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("inner", ["", "raw", "FashionMNIST/raw"])
def test_idx(tmp_path: Path, inner: str, ending: str) -> None:
    fashion(tmp_path / inner, ending)
    images = read_images(tmp_path)

    assert images.train_images.shape == (5, 1, 2, 3)
    assert images.train_images[1, 0].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert images.train_labels.tolist() == [0, 1, 2, 3, 4]
    assert (images.test_images.shape, images.test_labels.tolist()) == ((2, 1, 2, 3), [0, 1])


def test_batches(tmp_path: Path) -> None:
    cifar(tmp_path / "cifar-10-batches-py")
    images = read_images(str(tmp_path))

    assert images.train_images.shape == (15, 3, 32, 32)
    assert images.train_images[3].min() == images.train_images[3].max() == 1
    assert images.train_labels.tolist() == [0, 1, 2] * 5
    assert images.train_labels.dtype == images.test_images.dtype == np.uint8
    assert images.test_images.max() == 5


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"has no images: put train-images-idx3-ubyte\[\.gz\]"):
        read_images(tmp_path / "absent")
    fashion(tmp_path)
    (tmp_path / IDX[3]).unlink()
    with pytest.raises(SettingError, match="has no images"):
        read_images(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no idx file of 3 dimensions"),
        (b"\x00\x00\x08\x01" + bytes(12), "is no idx file of 3 dimensions"),
        (b"\x00\x00\x0d\x03" + bytes(12), "is no idx file of 3 dimensions"),
        (idx(np.zeros((5, 2, 3), np.uint8))[:-1], "has 29 bytes, and its header says 30"),
        (idx(np.zeros((4, 2, 3), np.uint8)), "4 images and 5 labels do not match"),
        (struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3), "has 0 bytes, and its header says 79"),
    ],
)
def test_idx_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    (fashion(tmp_path) / IDX[0]).write_bytes(content)
    with pytest.raises(SettingError, match=said):
        read_images(tmp_path)


# The time of packing is part of what gzip writes, and would be of the test's name: each worker of
# the suite packs at its own time.
CUT_OFF = gzip.compress(bytes(99), mtime=0)[:-9]


@pytest.mark.parametrize("content", [b"no gzip", CUT_OFF], ids=["no gzip", "cut off"])
def test_gzip_that_is_none(tmp_path: Path, content: bytes) -> None:
    (fashion(tmp_path, ".gz") / f"{IDX[0]}.gz").write_bytes(content)
    with pytest.raises(SettingError, match="cannot be read"):
        read_images(tmp_path)


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no Python batch"),
        (b"no pickle", "is no Python batch"),
        (batch(3)[:-100], "is no Python batch"),
        (pickle.dumps({b"labels": [1]}), "is no Python batch of CIFAR-10: b'data'"),
        (pickle.dumps([1]), "is no Python batch"),
        (pickle.dumps({b"labels": [1], b"data": 7}), "no bytes"),
        (batch(3).replace(b"(K\x00K\x01K\x02e", b"(K\x00K\x01e"), "3 images and 2 labels"),
        (pickle.dumps(Harmful()), r"it holds posix\.mkdir, which no array needs"),
    ],
)
def test_batches_that_are_none(
    tmp_path: Path, content: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (cifar(tmp_path) / BATCHES[0]).write_bytes(content)
    with pytest.raises(SettingError, match=said):
        read_images(tmp_path)
    assert not (tmp_path / "harm").exists()
