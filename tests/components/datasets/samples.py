"""Small data sets in the layouts of the real ones, made without the code under test."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cifar_exp.components.datasets import Cifar10, Cifar100, DatasetChoice, Digits, Folder
from cifar_exp.components.datasets.cifar_archive import Archive

from . import official

CLASSES = ("ant", "bee", "cow")
Writer = Callable[[dict[bytes, object]], bytes]


@dataclass(frozen=True)
class Sample:
    """A choice, and all images (N x H x W x C) and labels of its source."""

    choice: DatasetChoice
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def noise(rows: int, size: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (rows, size, size, 3), np.uint8)


def digits(_: Path) -> Sample:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    gray = np.rint(values.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    large = np.kron(gray, np.ones((1, 4, 4), np.uint8))
    return Sample(Digits(), np.stack([large] * 3, axis=-1), labels)


def folder(root: Path, train: int = 11, test: int = 3, size: int = 8) -> Sample:
    images, labels = [], []
    for seed, (part, count) in enumerate((("train", train), ("test", test))):
        some = noise(count * len(CLASSES), size, seed)
        for row, image in enumerate(some):
            label = row % len(CLASSES)
            write_image(root / "data" / part / CLASSES[label] / f"{row:03d}.png", image)
            labels.append(label)
        images.append(some)
    choice = Folder(path=root / "data")
    return Sample(choice, np.concatenate(images), np.array(labels))


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@dataclass(frozen=True)
class TinyCifar:
    """A CIFAR archive in the real layout, with few images, and the choice that expects it."""

    choice: type[Cifar10]
    archive: Archive
    path: Path
    files: dict[str, bytes]
    sample: Sample


def python2_pickle(entries: dict[bytes, object]) -> bytes:
    """Write a dictionary as Python 2 wrote the official files."""
    body = b"".join(_python2(key) + _python2(value) for key, value in entries.items())
    return b"\x80\x02}(" + body + b"u."


def python3_pickle(entries: dict[bytes, object]) -> bytes:
    return pickle.dumps(entries, protocol=2)


def _python2(value: object) -> bytes:
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_python2, value)) + b"e"
    assert isinstance(value, np.ndarray)
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + _python2(-1) * 2 + b"K\x00tb"
    shape = b"".join(_python2(int(side)) for side in value.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + b"\x86" + dtype + b"\x89" + _python2(value.tobytes()) + b"tb"
    )


def batch(images: NDArray[np.uint8], labels: NDArray[np.int64], key: bytes) -> dict[bytes, object]:
    data = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    return {b"batch_label": b"a batch", key: labels.tolist(), b"data": data}


def tiny_cifar10(root: Path, writer: Writer = python2_pickle) -> TinyCifar:
    return _tiny(root, writer, Cifar10)


def tiny_cifar100(root: Path, writer: Writer = python2_pickle) -> TinyCifar:
    return _tiny(root, writer, Cifar100)


def _tiny(root: Path, writer: Writer, real: type[Cifar10] | type[Cifar100]) -> TinyCifar:
    official = real.archive
    names = [*official.train, *official.test]
    rows = 30
    images = noise(rows * len(names), 32, 7)
    labels = np.arange(len(images)) % len(CLASSES)
    files = {official.names[0]: writer({official.names_key: [c.encode() for c in CLASSES]})}
    for row, name in enumerate(names):
        part = slice(row * rows, (row + 1) * rows)
        files[name] = writer(batch(images[part], labels[part], official.label_key))
    return pack(root, files, real, Sample(Digits(), images, labels))


def pack(
    root: Path,
    files: dict[str, bytes],
    real: type[Cifar10] | type[Cifar100],
    sample: Sample | None = None,
    members: Mapping[str, tarfile.TarInfo] | None = None,
) -> TinyCifar:
    """Write files to an archive, and return a choice with the correct checksums."""
    official = real.archive
    path = root / "place" / official.file
    write_archive(path, official.folder, files, members or {})
    archive = table(official, files, path)
    choice = type(f"Tiny{real.__name__}", (real,), {"archive": archive, "__doc__": real.__doc__})
    assert issubclass(choice, real)
    empty = Sample(Digits(), noise(0, 32, 0), np.zeros(0, np.int64))
    found = sample or empty
    chosen = Sample(choice(path=path), found.images, found.labels)
    return TinyCifar(choice, archive, path, files, chosen)  # type: ignore[arg-type]


def write_archive(
    path: Path, folder: str, files: dict[str, bytes], members: Mapping[str, tarfile.TarInfo]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        # The official archives are not sorted either.
        for name in sorted(files, reverse=True):
            member = members.get(name, tarfile.TarInfo(f"{folder}/{name}"))
            if member.isreg():
                member.size = len(files[name])
            tar.addfile(member, io.BytesIO(files[name]) if member.isreg() else None)


def table(official: Archive, files: dict[str, bytes], path: Path) -> Archive:
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    return Archive(
        url="http://127.0.0.1:9/" + official.file,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        folder=official.folder,
        train={name: md5[name] for name in official.train},
        test={name: md5[name] for name in official.test},
        names=(official.names[0], md5[official.names[0]]),
        label_key=official.label_key,
        names_key=official.names_key,
    )


def _official(name: str) -> Callable[[Path], Sample]:
    def make(root: Path) -> Sample:
        choice, images, labels = official.TINY[name](root / "official")
        return Sample(choice, images, labels)

    return make


SAMPLES: dict[str, Callable[[Path], Sample]] = {
    "digits": digits,
    "cifar10": lambda root: tiny_cifar10(root).sample,
    "cifar100": lambda root: tiny_cifar100(root).sample,
    "folder": folder,
    **{name: _official(name) for name in official.TINY},
}
