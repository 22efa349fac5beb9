"""Small official files in the true formats, made without the code under test.

Each function writes the files of a data set into a folder, and returns a choice that expects their
checksums, with all images (N x H x W x 3) and labels in the order train, val, test.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from cifar_exp.components.datasets import DATASETS
from cifar_exp.components.datasets.official.archived import Archived

Tiny = tuple[Archived, NDArray[np.uint8], NDArray[np.int64]]
OF_EACH_CLASS = 11
TESTED = 2


def published(
    classes: int,
    size: int,
    *,
    splits: tuple[int, ...] = (OF_EACH_CLASS, TESTED),
    grey: bool = False,
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.int64]]]:
    """Return the images and labels of each split, with so many images of each class."""
    random = np.random.default_rng(3)
    shape = (size, size) if grey else (size, size, 3)
    labels = [random.permutation(np.arange(classes * count) % classes) for count in splits]
    images = [random.integers(0, 256, (len(part), *shape), np.uint8) for part in labels]
    return images, labels


def tiny(
    name: str,
    root: Path,
    files: Mapping[str, bytes],
    images: list[NDArray[np.uint8]],
    labels: list[NDArray[np.int64]],
    **settings: Any,
) -> Tiny:
    """Write the files, and return a choice with their checksums in place of the official ones."""
    real = DATASETS[name]
    assert issubclass(real, Archived)
    root.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (root / file).write_bytes(content)
    official = {
        key: replace(file, url=f"http://127.0.0.1:9/{file.name}", md5=md5(files[file.name]))
        for key, file in real.official.items()
        if file.name in files
    }
    choice = type(f"Tiny{real.__name__}", (real,), {"official": official, "__doc__": real.__doc__})
    joined = np.concatenate(images)
    colour = joined if joined.ndim == 4 else np.stack([joined] * 3, axis=-1)
    return choice(path=root, **settings), colour, np.concatenate(labels)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx(array: NDArray[Any]) -> bytes:
    """Return an array in MNIST's format: big-endian sizes after 0, 0, 8 and their number."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.astype(np.uint8).tobytes())


def four_files(name: str) -> Callable[[Path], Tiny]:
    def make(root: Path) -> Tiny:
        images, labels = published(10, 28, grey=True)
        files = {
            "train-images-idx3-ubyte.gz": idx(images[0]),
            "train-labels-idx1-ubyte.gz": idx(labels[0]),
            "t10k-images-idx3-ubyte.gz": idx(images[1]),
            "t10k-labels-idx1-ubyte.gz": idx(labels[1]),
        }
        return tiny(name, root, files, images, labels)

    return make


def emnist(root: Path, split: str = "letters", classes: int = 26, first: int = 1) -> Tiny:
    """Rows and columns are exchanged, and the labels of `letters` begin with 1."""
    images, labels = published(classes, 28, grey=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part, images_, labels_ in zip(("train", "test"), images, labels, strict=True):
            start = f"gzip/emnist-{split}-{part}"
            archive.writestr(f"{start}-images-idx3-ubyte.gz", idx(images_.swapaxes(1, 2)))
            archive.writestr(f"{start}-labels-idx1-ubyte.gz", idx(labels_ + first))
        archive.writestr("gzip/emnist-balanced-mapping.txt", "0 48\n")
    return tiny("emnist", root, {"gzip.zip": packed.getvalue()}, images, labels, split=split)


def svhn(root: Path, extra: bool = False) -> Tiny:
    """Images are height x width x channels x N, the label of a zero is 10."""
    splits = (OF_EACH_CLASS, 1, TESTED) if extra else (OF_EACH_CLASS, TESTED)
    images, labels = published(10, 32, splits=splits)
    files = {}
    names = ["train", "extra", "test"] if extra else ["train", "test"]
    for name, images_, labels_ in zip(names, images, labels, strict=True):
        content = io.BytesIO()
        y = np.where(labels_ == 0, 10, labels_).astype(np.uint8)[:, None]
        savemat(content, {"X": np.moveaxis(images_, 0, -1), "y": y}, do_compression=True)
        files[f"{name}_32x32.mat"] = content.getvalue()
    return tiny("svhn", root, files, images, labels, extra=extra)


def tar(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


STL10 = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


def stl10(root: Path) -> Tiny:
    """Every image is three channels, each column by column; labels begin with 1."""
    images, labels = published(10, 96)
    files = {"stl10_binary/class_names.txt": "\n".join(STL10).encode()}
    for part, images_, labels_ in zip(("test", "train"), images[::-1], labels[::-1], strict=True):
        by_column = [image[..., c].T.tobytes() for image in images_ for c in range(3)]
        files[f"stl10_binary/{part}_X.bin"] = b"".join(by_column)
        files[f"stl10_binary/{part}_y.bin"] = bytes((labels_ + 1).tolist())
    files["stl10_binary/unlabeled_X.bin"] = b"no image"
    return tiny("stl10", root, {"stl10_binary.tar.gz": tar(files)}, images, labels)


def encoded(image: NDArray[np.uint8], kind: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind)
    return content.getvalue()


CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def cinic10(root: Path) -> Tiny:
    images, labels = published(10, 32, splits=(3, 2, 2))
    files = {"./README.md": b"text"}
    for part, images_, labels_ in zip(("train", "valid", "test"), images, labels, strict=True):
        for row, (image, label) in enumerate(zip(images_, labels_, strict=True)):
            files[f"./{part}/{CIFAR10[label]}/n{row:05d}.png"] = encoded(image, "PNG")
    return tiny("cinic10", root, {"CINIC-10.tar.gz": tar(files)}, images, labels)


def tiny_imagenet(root: Path) -> Tiny:
    """The labels of `val` are in a list, those of `test` are secret, the ids are not sorted."""
    ids, folder = ["n02", "n01", "n03"], "tiny-imagenet-200"
    images, labels = published(3, 64)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{folder}/wnids.txt", "\n".join(ids) + "\n")
        words = "n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane, lifting\nn04\tother\n"
        archive.writestr(f"{folder}/words.txt", words)
        lines = []
        for part, images_, labels_ in zip(("train", "val"), images, labels, strict=True):
            for row, image in enumerate(images_):
                wnid = sorted(ids)[labels_[row]]
                content = encoded(image, "JPEG")
                images_[row] = np.asarray(Image.open(io.BytesIO(content)))
                name = f"{wnid}_{row}.JPEG" if part == "train" else f"val_{row}.JPEG"
                inside = f"{wnid}/images" if part == "train" else "images"
                archive.writestr(f"{folder}/{part}/{inside}/{name}", content)
                lines.append(f"{name}\t{wnid}\t0\t32\t44\t62\n")
        val = lines[len(images[0]) :]
        archive.writestr(f"{folder}/val/val_annotations.txt", "".join(val))
        archive.writestr(f"{folder}/test/images/test_0.JPEG", content)
    return tiny("tiny_imagenet", root, {"tiny-imagenet-200.zip": packed.getvalue()}, images, labels)


def medmnist(root: Path, subset: str = "path", classes: int = 9, grey: bool = False) -> Tiny:
    images, labels = published(classes, 28, splits=(4, 2, 2), grey=grey)
    content = io.BytesIO()
    arrays = {}
    for part, images_, labels_ in zip(("train", "val", "test"), images, labels, strict=True):
        arrays[f"{part}_images"] = images_
        arrays[f"{part}_labels"] = labels_.astype(np.uint8)[:, None]
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    files = {f"{subset}mnist.npz": content.getvalue()}
    return tiny("medmnist", root, files, images, labels, subset=subset)


TINY: dict[str, Callable[[Path], Tiny]] = {
    "svhn": svhn,
    "mnist": four_files("mnist"),
    "fashion_mnist": four_files("fashion_mnist"),
    "kmnist": four_files("kmnist"),
    "emnist": emnist,
    "stl10": stl10,
    "cinic10": cinic10,
    "tiny_imagenet": tiny_imagenet,
    "medmnist": medmnist,
}
