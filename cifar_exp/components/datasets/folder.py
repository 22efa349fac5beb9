"""Image folders of the user, with one folder per class."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cifar_exp.components.datasets.class_names import check_class_names
from cifar_exp.components.datasets.images.decoding import (
    VERSION,
    UnreadableImage,
    decoded,
    pillow_silenced,
    unreadable,
)
from cifar_exp.components.datasets.images.files import ImageFile, SplitFiles, no_files, split_files
from cifar_exp.components.datasets.images.left_out import left_out_files, left_out_splits
from cifar_exp.components.datasets.source import (
    VALIDATION_FRACTION,
    Contents,
    DataError,
    Place,
    Source,
    WithDrawnValidation,
    validation_key,
)
from cifar_exp.components.datasets.split import Order, drawn_order, published_order
from cifar_exp.system.formatting import listed
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cifar_exp.components.datasets.source import Allocate, Progress

FILES_AT_ONCE = 256
LAYOUT = (
    "the images belong in train/<class>/ and test/<class>/; if they are in <class>/, set "
    "`holdout`, for example to 0.2, to draw the test images"
)


class Folder(WithDrawnValidation):
    """Your own images, in train/<class>/ and test/<class>/; a tenth of train is for validation.

    With `holdout`, in <class>/: that share of each class, drawn once, is for testing.

    PNG, JPEG, BMP, WebP, TIFF, GIF and PNM files are read as 8-bit RGB, on a white background.
    """

    name: ClassVar[str] = "folder"

    path: Place = Field(
        description="The folder that contains train/<class>/ and test/<class>/, or <class>/ with "
        "`holdout`; a relative path is relative to the working directory.",
    )
    size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Height and width in pixels to which every image is resized; "
        "not needed if all images are square and have the same size.",
    )
    holdout: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="For a folder with <class>/ instead of train/ and test/: the share of the "
        "images of each class that is for testing, drawn once; for example 0.2.",
    )

    def source(self) -> FolderSource:
        """Return the source: the files that exist now.

        Raises:
            DataError: A folder is missing, empty or unreadable, a class is only in test, or
                the name of a class is unsuitable.
        """
        root = self.path.expanduser().absolute()
        train, test = self._splits(root)
        if damaged := train.unreadable + test.unreadable:
            raise unreadable(damaged)
        check_class_names(root, train.images.keys() | test.images.keys())
        _check_classes(train, test)
        return FolderSource(
            root=root,
            size=self.size,
            validation=self.validation,
            holdout=self.holdout,
            train=train.images,
            test=test.images,
            left_out=self._left_out(root, train, test),
        )

    def _splits(self, root: Path) -> tuple[SplitFiles, SplitFiles]:
        """Return the files for training and for testing; with `holdout`, all are in the first."""
        if self.holdout is None:
            return split_files(root / "train", LAYOUT), split_files(root / "test", LAYOUT)
        if (root / "train").is_dir() and (root / "test").is_dir():
            raise DataError(f"{root} has train/ and test/, which are its split: remove `holdout`.")
        return split_files(root, "the images belong in <class>/"), no_files(root)

    def _left_out(self, root: Path, train: SplitFiles, test: SplitFiles) -> tuple[str, ...]:
        files = (*left_out_files(train), *left_out_files(test))
        if self.holdout is not None:
            return files
        splits = left_out_splits(root, ["train", "test"], train.images, self.validation)
        return (*files, *splits)


@dataclass(frozen=True, kw_only=True)
class FolderSource(Source):
    """The image files of a folder.

    Attributes:
        root: The folder.
        size: Height and width to resize to, if any.
        validation: The share of the training images for validation.
        holdout: The share of all images for testing, if there are no test files.
        train: The training files by class; its keys are all classes.
        test: The test files by class.
        left_out: Sentences about files that are not read.
    """

    root: Path
    size: int | None
    validation: float = VALIDATION_FRACTION
    holdout: float | None = None
    train: dict[str, list[ImageFile]]
    test: dict[str, list[ImageFile]]
    left_out: tuple[str, ...]

    @property
    def key(self) -> str:
        """A digest of the folder, the files' names, sizes and times, and how they are decoded."""
        holdout = "" if self.holdout is None else f":holdout {self.holdout}"
        how = f"{self.size}{validation_key(self.validation)}{holdout}"
        digest = hashlib.sha256(f"folder, {VERSION}\0{how}\0".encode())
        digest.update(bytes(self.root.resolve()))
        start = len(str(self.root))
        for file in self.files():
            line = f"\0{file.path[start:]}\0{file.size}\0{file.modified}"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def read(
        self,
        allocate: Allocate,
        downloads: Path,  # noqa: ARG002
        progress: Progress,
    ) -> Contents:
        """Decode the images, see `Source.read`."""
        labels, order = self.labels(), self.order()
        files = self.files()
        self._decode([files[row].path for row in order.rows], allocate, progress)
        return Contents(classes=self.classes, labels=labels[order.rows], counts=order.counts)

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        return tuple(self.train)

    def files(self) -> list[ImageFile]:
        """Return the training files and then the test files."""
        return _all(self.train) + _all(self.test)

    def labels(self) -> NDArray[np.int64]:
        """Return the labels of `files`: int64, N."""
        return np.concatenate([_labels(files, self.classes) for files in (self.train, self.test)])

    def order(self) -> Order:
        """Return the split into training, validation and test images.

        Raises:
            DataError: A class has too few images.
        """
        labels, classes = self.labels(), self.classes
        if self.holdout is None:
            num_test = len(_all(self.test))
            counts = (len(labels) - num_test, 0, num_test)
            return published_order(labels, counts, classes, self.validation)
        return drawn_order(
            labels, val=self.validation * (1 - self.holdout), test=self.holdout, classes=classes
        )

    def _decode(self, paths: Sequence[str], allocate: Allocate, progress: Progress) -> None:
        damaged: list[UnreadableImage] = []

        def fill(start: int) -> int:
            batch = paths[start : start + FILES_AT_ONCE]
            for row, path in enumerate(batch, start):
                try:
                    images[row] = self._decoded_with_size(path, size, first)
                except UnreadableImage as image:
                    damaged.append(image)
            return start + len(batch)

        with pillow_silenced():
            first, size = self._first_with_size(paths)
            images = allocate(len(paths), size, 3)
            _run(fill, len(paths), progress)
        if damaged:
            raise unreadable(sorted(damaged, key=lambda image: image.path))

    def _first_with_size(self, paths: Sequence[str]) -> tuple[str, int]:
        """Return the first readable image, and the height and width that all others must have."""
        damaged = []
        for path in paths:
            try:
                height, width = decoded(path, self.size).shape[:2]
            except UnreadableImage as image:
                damaged.append(image)
                continue
            if height != width:
                raise DataError(
                    f"{path} is {width} x {height} pixels, not square: "
                    "set `size` to resize every image."
                )
            return path, height
        raise unreadable(damaged)

    def _decoded_with_size(self, path: str, size: int, first: str) -> NDArray[np.uint8]:
        image = decoded(path, self.size)
        height, width = image.shape[:2]
        if (height, width) != (size, size):
            raise DataError(
                f"{path} is {width} x {height} pixels but {first} is {size} x {size}: "
                f"set `size`, for example to {size}, to resize every image."
            )
        return image


def _check_classes(train: SplitFiles, test: SplitFiles) -> None:
    if len(train.images) < 2:
        raise DataError(
            f"{train.folder} has only the class {min(train.images)!r}: add a second one."
        )
    untrained = [repr(name) for name in test.images if name not in train.images]
    if untrained:
        raise DataError(
            f"Class {listed(untrained)} is in {test.folder} but not in {train.folder}: "
            "add training images of it or remove it from test."
        )


def _run(fill: Callable[[int], int], total: int, progress: Progress) -> None:
    # Threads are sufficient, as Pillow releases the interpreter lock while decoding.
    with ThreadPoolExecutor() as pool:
        for done in pool.map(fill, range(0, total, FILES_AT_ONCE)):
            progress("decoding images", done, total)


def _all(files: dict[str, list[ImageFile]]) -> list[ImageFile]:
    return [file for batch in files.values() for file in batch]


def _labels(files: dict[str, list[ImageFile]], classes: Sequence[str]) -> NDArray[np.int64]:
    counts = [len(files.get(name, ())) for name in classes]
    return np.repeat(np.arange(len(classes), dtype=np.int64), counts)
