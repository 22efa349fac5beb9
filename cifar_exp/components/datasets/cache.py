"""The cache of decoded data sets on disk, which processes map into memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from cifar_exp.components.datasets.dataset import Dataset, Split
from cifar_exp.components.datasets.normalization import mean_and_std
from cifar_exp.components.datasets.source import Contents, DataError, Progress, no_progress
from cifar_exp.components.plugins.registry import origin
from cifar_exp.system import paths
from cifar_exp.system.lazy_import import np
from cifar_exp.system.shared import share, shared_file, shared_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cifar_exp.components.datasets.source import DatasetChoice, Source

CACHE_FORMAT = 1
"""Increased when the files of the same source change, so that old caches are not used."""

IMAGES, LABELS, META = "images.npy", "labels.npy", "meta.json"


class Meta(BaseModel):
    """Metadata of the cached arrays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    classes: tuple[str, ...]
    counts: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    images_of: str | None = None
    """The folder beside this one that has the images, if they are not here."""
    class_counts: tuple[int, ...] | None = None

    def images(self, folder: Path) -> Path:
        """Return the file of the images of a cache folder."""
        return (folder if self.images_of is None else folder.parent / self.images_of) / IMAGES


def load(choice: DatasetChoice, progress: Progress = no_progress) -> Dataset:
    """Load a data set; it is downloaded and decoded if it is not in the cache.

    If several processes need it at the same time, one prepares it and the others wait. The checksum
    of the cache is verified; a damaged cache is created again.

    Raises:
        DataError: The data is missing, damaged or unsuitable, or the cache cannot be written.
    """
    source = choice.source()
    plugin = origin("datasets", choice.name)
    key = source.key if plugin is None else f"{source.key} {plugin.digest}"
    return replace(
        cached(choice.name, source, progress, key),
        left_out=source.left_out,
        settings=choice.settings,
        fewest_validation=choice.fewest_validation,
    )


def cached(name: str, source: Source, progress: Progress, key: str | None = None) -> Dataset:
    """Return the data set of a source from the cache; it is created if it is missing or damaged.

    Args:
        name: The name of the data set.
        source: Its source.
        progress: Is told what is done.
        key: What the images depend on, in place of the key of the source.

    Raises:
        DataError: The data is missing, damaged or unsuitable, or the cache cannot be written.
    """
    folder = paths.cache() / f"{name}-{_digest(key or source.key)}"
    try:
        return _verified(folder)
    except DataError as error:
        damage = error
    try:
        with _sole_writer(folder, progress):
            return _verified_or_none(folder) or _prepared(name, source, folder, progress)
    except DataError as error:
        if not folder.exists():
            raise
        raise DataError(f"{damage} That failed: {error}") from error


def open_dataset(path: Path) -> Dataset:
    """Map the data set in a cache folder; `path` is `Dataset.path`.

    Raises:
        DataError: The folder is missing or damaged.
    """
    try:
        meta = _meta(path)
        images = np.load(meta.images(path), mmap_mode="c", allow_pickle=False)
        labels = np.load(path / LABELS, mmap_mode="c", allow_pickle=False)
        _check(meta, images, labels)
    except (OSError, ValueError, EOFError) as error:
        reason = f"{META} is damaged" if isinstance(error, ValidationError) else error
        raise DataError(
            f"The cached data set {path} cannot be used ({reason}): load the data set again."
        ) from error
    return _dataset(path, meta, *_splits(meta, images, labels))


def _meta(folder: Path) -> Meta:
    return Meta.model_validate_json((folder / META).read_bytes())


def _check(meta: Meta, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    rows = sum(meta.counts)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[0] != rows:
        raise ValueError(f"{IMAGES} does not hold {rows} images")
    if labels.dtype != np.int64 or labels.shape != (rows,):
        raise ValueError(f"{LABELS} does not hold {rows} labels")
    if not 0 <= labels.min() <= labels.max() < len(meta.classes):
        raise ValueError(f"{LABELS} holds a label of no class")


def _splits(meta: Meta, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Iterator[Split]:
    import torch  # noqa: PLC0415

    start = 0
    for count in meta.counts:
        rows = slice(start, start + count)
        # N x H x W x C in the file, viewed as N x C x H x W, is torch's channels_last.
        yield Split(
            images=torch.from_numpy(images[rows]).permute(0, 3, 1, 2),
            labels=torch.from_numpy(labels[rows]),
        )
        start += count


def _dataset(path: Path, meta: Meta, train: Split, val: Split, test: Split) -> Dataset:
    return Dataset(
        name=meta.name,
        train=train,
        val=val,
        test=test,
        classes=meta.classes,
        fingerprint=meta.fingerprint,
        mean=meta.mean,
        std=meta.std,
        path=path,
        class_counts=meta.class_counts,
    )


def _verified_or_none(folder: Path) -> Dataset | None:
    try:
        return _verified(folder)
    except DataError:
        return None


def _verified(folder: Path) -> Dataset:
    """Map the data set in a cache folder, and verify its checksum.

    Raises:
        DataError: The folder is missing or damaged.
    """
    data = open_dataset(folder)
    images = np.load(_meta(folder).images(folder), mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / LABELS, allow_pickle=False)
    counts = (len(data.train), len(data.val), len(data.test))
    found = _fingerprint(images, Contents(classes=data.classes, labels=labels, counts=counts))
    if found != data.fingerprint:
        raise DataError(
            f"The cached data set {folder} is damaged ({IMAGES} or {LABELS}: SHA-256 expected "
            f"{data.fingerprint}, found {found}): load the data set again."
        )
    return data


@contextmanager
def _sole_writer(folder: Path, progress: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout  # noqa: PLC0415

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(shared_file(folder.with_name(f"{folder.name}.lock")))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("waiting for another process to prepare the data", 0, 1)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except OSError as error:
        file = f": {error.filename}" if error.filename else ""
        raise DataError(
            f"Cannot write the data cache in {folder.parent} ({error.strerror or error}{file}): "
            f"free some space or give access, or set {paths.CACHE_VARIABLE} to another folder."
        ) from error


def _prepared(name: str, source: Source, folder: Path, progress: Progress) -> Dataset:
    # This process holds the lock, so an existing partial folder is left from a crash.
    partial = folder.with_name(f"{folder.name}.partial")
    _remove(partial)
    shared_folder(partial)
    try:
        contents = _decoded(source, partial, progress)
        _write_meta(name, contents, partial)
        _complete(partial)
        _remove(folder)
        partial.rename(folder)
    finally:
        _remove(partial)
    return open_dataset(folder)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _complete(folder: Path) -> None:
    # Otherwise a power failure could leave a complete folder with incomplete files.
    for file in folder.iterdir():
        with file.open("r+b") as handle:
            os.fsync(handle.fileno())
        share(file)


def _decoded(source: Source, folder: Path, progress: Progress) -> Contents:
    def allocate(rows: int, size: int, channels: int) -> NDArray[np.uint8]:
        return _new_array(folder / IMAGES, (rows, size, size, channels))

    contents = source.read(allocate, folder.parent / "downloads", progress)
    np.save(folder / LABELS, contents.labels, allow_pickle=False)
    return contents


def _new_array(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    # Allocates the space, so that a full disk is an OSError here instead of a crash later.
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, file.stat().st_size)
    return array


def _write_meta(name: str, contents: Contents, folder: Path) -> None:
    place = folder if contents.images_of is None else folder.parent / contents.images_of
    images = np.load(place / IMAGES, mmap_mode="r", allow_pickle=False)
    mean, std = mean_and_std(images[: contents.counts[0]])
    meta = Meta(
        name=name,
        classes=contents.classes,
        counts=contents.counts,
        fingerprint=_fingerprint(images, contents),
        mean=mean,
        std=std,
        images_of=contents.images_of,
        class_counts=contents.class_counts,
    )
    text = meta.model_dump_json(indent=2, exclude_defaults=True)
    (folder / META).write_text(text + "\n", encoding="utf-8")


def _fingerprint(images: NDArray[np.uint8], contents: Contents) -> str:
    metadata = {
        "shape": images.shape,
        "classes": contents.classes,
        "counts": contents.counts,
    }
    digest = hashlib.sha256(json.dumps(metadata).encode())
    digest.update(contents.labels.astype("<i8").tobytes())
    digest.update(images.data)
    return digest.hexdigest()


def _digest(key: str) -> str:
    return hashlib.sha256(f"{CACHE_FORMAT}:{key}".encode()).hexdigest()[:16]
