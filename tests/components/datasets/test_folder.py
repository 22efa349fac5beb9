from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cifar_exp.components.datasets import DataError, Folder, load
from cifar_exp.components.datasets import folder as folder_module

from .samples import CLASSES, folder, noise, write_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder(tmp_path)
    return tmp_path / "data"


def refused(root: Path, words: str, size: int | None = None) -> None:
    """Check that loading fails with one line that has these words, a path and a solution."""
    with pytest.raises(DataError, match=words) as caught:
        load(Folder(path=root, size=size))
    assert str(root) in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_classes_are_the_sorted_folders_of_train(root: Path) -> None:
    assert load(Folder(path=root)).classes == CLASSES


def test_test_images_are_those_of_pillow_in_order(root: Path) -> None:
    data = load(Folder(path=root))
    files = [file for name in CLASSES for file in sorted((root / "test" / name).iterdir())]
    expected = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    assert torch.equal(data.test.images, torch.from_numpy(expected).permute(0, 3, 1, 2))
    assert data.test.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_relative_paths_start_at_the_working_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    assert load(Folder(path=Path("data"))).path == load(Folder(path=root)).path


def test_hidden_files_are_ignored(root: Path) -> None:
    before = load(Folder(path=root))
    (root / "train" / "ant" / ".hidden.png").write_text("no image")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / ".git" / "ant").mkdir(parents=True)
    after = load(Folder(path=root))
    assert after.path == before.path
    assert before.left_out == after.left_out == ()


def test_what_is_left_out_is_counted_by_kind_with_an_example(root: Path) -> None:
    before = load(Folder(path=root))
    ant = root / "train" / "ant"
    (ant / "2019" / "may").mkdir(parents=True)
    images = (ant / "2019" / "1.png", ant / "2019" / "may" / "2.PNG", root / "train" / "a.jpg")
    for path in (ant / "x.heic", ant / "y.HEIC", ant / "LICENSE", *images):
        path.touch()
    after = load(Folder(path=root))  # a cached data set has the warnings too
    assert after.path == before.path
    (sentence,) = after.left_out
    assert sentence.startswith(f"6 of the 39 files in {root / 'train'} are not read: 2 ")
    for part in (
        "2 .png in sub-folders of a class",
        "2 .heic",
        "1 without a suffix",
        "1 .jpg outside of a class",
        f"for example {ant / '2019' / '1.png'} ",
        ".jfif",
    ):
        assert part in sentence


def test_an_example_that_is_left_out_is_printed_on_one_line(root: Path) -> None:
    (root / "test" / "ant" / "a\n\x1b[2J.txt").touch()
    (sentence,) = load(Folder(path=root)).left_out
    assert sentence.isprintable()


def test_a_split_that_is_not_read_is_named(root: Path) -> None:
    shutil.copytree(root / "test", root / "val")
    (root / "notes" / "ant").mkdir(parents=True)
    (sentence,) = load(Folder(path=root)).left_out
    assert sentence.startswith(f"{root / 'val'} has folders of the same classes but is not read")


def test_a_cache_of_an_earlier_decoding_is_not_used(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "VERSION", "upright")  # all pixels above 255 became white
        earlier = load(Folder(path=root))
    now = load(Folder(path=root))
    assert now.path != earlier.path
    assert now.fingerprint == earlier.fingerprint


def test_the_exif_orientation_of_a_photo_is_applied(root: Path) -> None:
    file = next((root / "test" / CLASSES[0]).iterdir())
    upright = np.asarray(Image.open(file).convert("RGB"))
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored image has to be rotated by 90 degrees clockwise
    Image.fromarray(np.rot90(upright).copy()).save(file, exif=exif)
    data = load(Folder(path=root))
    place = sorted((root / "test" / CLASSES[0]).iterdir()).index(file)
    assert np.array_equal(data.test.images[place].permute(1, 2, 0), upright)


def test_an_image_with_damaged_exif_data_is_read(root: Path) -> None:
    before = load(Folder(path=root))
    file = next((root / "test" / CLASSES[0]).iterdir())
    Image.open(file).convert("RGB").save(file, exif=b"Exif\0\0this is no TIFF header")
    with Image.open(file) as image, pytest.raises(SyntaxError):
        image.getexif()
    assert load(Folder(path=root)).fingerprint == before.fingerprint


@pytest.mark.parametrize(
    "suffix",
    [
        *(".PNG", ".jpg", ".JPEG", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".TIFF", ".gif"),
        *(".ppm", ".pgm", ".pnm"),
    ],
)
def test_every_format_is_read(root: Path, suffix: str) -> None:
    path = root / "test" / "ant" / f"zzz{suffix}"
    write_image(path, noise(1, 8, 5)[0])
    image = load(Folder(path=root)).test.images[3]
    expected = np.array(Image.open(path).convert("RGB"))
    assert torch.equal(image, torch.from_numpy(expected).permute(2, 0, 1))


def test_changed_files_are_decoded_again(root: Path) -> None:
    file = root / "test" / "ant" / "000.bmp"
    write_image(file, noise(1, 8, 9)[0])
    before, found = load(Folder(path=root)), file.stat()
    write_image(file, noise(1, 8, 10)[0])
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    after = load(Folder(path=root))
    assert file.stat().st_size == found.st_size
    assert not torch.equal(after.test.images[0], before.test.images[0])
    assert torch.equal(after.test.images[1:], before.test.images[1:])
    assert torch.equal(after.train.images, before.train.images)


def test_size_resizes_every_image_bilinearly(root: Path) -> None:
    wide = np.random.default_rng(3).integers(0, 256, (5, 20, 3), np.uint8)
    write_image(root / "test" / "ant" / "zzz.png", wide)
    data = load(Folder(path=root, size=12))
    assert {split.images.shape[2:] for split in (data.train, data.val, data.test)} == {(12, 12)}
    expected = np.asarray(Image.fromarray(wide).resize((12, 12), Image.Resampling.BILINEAR))
    assert np.array_equal(data.test.images[3].permute(1, 2, 0), expected)


def test_images_of_the_requested_size_are_not_changed(root: Path) -> None:
    plain, sized = load(Folder(path=root)), load(Folder(path=root, size=8))
    assert plain.path != sized.path
    assert plain.fingerprint == sized.fingerprint


def test_different_sizes_need_a_size(root: Path) -> None:
    write_image(root / "test" / "bee" / "odd.png", noise(1, 9, 0)[0])
    refused(root, r"test/bee/odd.png is 9 x 9 pixels but .*\.png is 8 x 8: set `size`")


def test_images_that_are_not_square_need_a_size(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for row in range(6):
            path = tmp_path / part / CLASSES[row % 2] / f"{row}.png"
            write_image(path, np.zeros((4, 6, 3), np.uint8))
    refused(tmp_path, r"\.png is 6 x 4 pixels, not square: set `size`")
    assert load(Folder(path=tmp_path, size=5)).size == 5


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%PDF-1.4 " + b"x" * 192, "truncated"], ids=range(4)
)
def test_an_unreadable_image_is_named(root: Path, content: bytes | str) -> None:
    path = root / "train" / "bee" / "001.png"
    path.write_bytes(path.read_bytes()[:100] if isinstance(content, str) else content)
    refused(root, r"Cannot read the image .*train/bee/001\.png \(.+\): replace or remove it")


def test_the_first_twenty_damaged_images_are_named_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "data"
    folder(tmp_path)
    for name in CLASSES:
        for path in (root / "train" / name).iterdir():
            path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(
        DataError, match=r"^Cannot read 33 images: .* and 13 more: replace"
    ) as caught:
        load(Folder(path=root))
    named = [path for path in root.rglob("*.png") if str(path) in str(caught.value)]
    assert len(named) == 20


def test_two_damaged_images_are_both_named(root: Path) -> None:
    for name in ("train/cow/002.png", "test/bee/001.png"):
        (root / name).write_bytes(b"GIF89a")
    refused(root, r"Cannot read 2 images: .*test/bee/001\.png \(.+\), .*train/cow/002\.png \(")


def test_all_broken_links_are_named(root: Path) -> None:
    for place in ("train/bee", "test/ant"):
        (root / place / "link.png").symlink_to(root / "nowhere.png")
    refused(root, r"Cannot read 2 images: .*train/bee/link\.png .*test/ant/link\.png \(No such")


def test_a_broken_link_is_named(root: Path) -> None:
    (root / "train" / "bee" / "link.png").symlink_to(root / "nowhere.png")
    refused(root, r"Cannot read the image .*bee/link\.png \(No such file or directory\)")


def test_a_decompression_bomb_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    refused(root, "Cannot read 42 images: .*decompression bomb")


@pytest.mark.parametrize("gone", ["", "train", "test"])
def test_missing_folders_are_named(root: Path, gone: str) -> None:
    shutil.rmtree(root / gone)
    named = gone or "train"
    words = "the images belong in train/<class>/ and test/<class>/; .* set `holdout`"
    refused(root, f"{named} .No such file or directory.: {words}")


@pytest.fixture
def unsplit(root: Path) -> Path:
    """A folder with 20 images of each class in <class>/."""
    for number, name in enumerate(CLASSES):
        for row, image in enumerate(noise(20, 8, number)):
            write_image(root.parent / "unsplit" / name / f"{row:03d}.png", image)
    return root.parent / "unsplit"


def test_a_folder_without_a_split_is_split_by_class(unsplit: Path) -> None:
    data = load(Folder(path=unsplit, holdout=0.2))
    assert data.classes == CLASSES
    counts = [np.bincount(split.labels).tolist() for split in data.splits.values()]
    assert counts == [[14] * 3, [2] * 3, [4] * 3]  # a fifth is 4, a tenth of the other 16 is 2
    files = [np.asarray(Image.open(file)) for file in sorted(unsplit.rglob("*.png"))]
    images = [image.numpy() for split in data.splits.values() for image in split.images]
    found = {image.transpose(1, 2, 0).tobytes() for image in images}
    assert found == {image.tobytes() for image in files}
    assert load(Folder(path=unsplit, holdout=0.2)).path == data.path


def test_holdout_and_validation_are_independent_shares(unsplit: Path) -> None:
    data = load(Folder(path=unsplit, holdout=0.5, validation=0.3))
    assert [len(split) for split in data.splits.values()] == [21, 9, 30]


def test_holdout_of_a_split_folder_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"has train/ and test/, which are its split: remove"):
        load(Folder(path=root, holdout=0.2))


def test_a_class_of_two_images_cannot_be_split_in_three(unsplit: Path) -> None:
    for file in sorted((unsplit / "cow").iterdir())[2:]:
        file.unlink()
    with pytest.raises(DataError, match=r"Class 'cow' has 1 training image, but at least 2"):
        load(Folder(path=unsplit, holdout=0.2))


def test_settings_that_are_not_the_default_are_kept(unsplit: Path) -> None:
    data = load(Folder(path=unsplit, holdout=0.2))
    assert data.settings == {"path": str(unsplit), "holdout": "0.2"}


@pytest.mark.parametrize("part", ["train", "test"])
def test_folders_without_classes_are_refused(root: Path, part: str) -> None:
    shutil.rmtree(root / part)
    (root / part).mkdir()
    refused(root, f"{part} contains no folders")


@pytest.mark.parametrize("place", ["train/bee", "test/cow"])
def test_classes_without_images_are_refused(root: Path, place: str) -> None:
    shutil.rmtree(root / place)
    (root / place).mkdir()
    refused(root, f"{place} contains no images .*: add some or remove the folder")
    (root / place / "more").mkdir()
    (root / place / "more" / "1.png").touch()
    words = f"only 1 file in sub-folders or of other kinds, such as .*{place}/more/1.png: add"
    refused(root, f"{place} contains no images .*{words}")


def test_all_classes_without_images_are_named(root: Path) -> None:
    for name in ("ant", "bee"):
        for path in (root / "test" / name).iterdir():
            path.unlink()
    refused(root, "test/ant, .*test/bee contain no images .*: add some or remove the folders")


def test_classes_only_in_test_are_refused(root: Path) -> None:
    shutil.copytree(root / "train" / "cow", root / "train" / "dog")
    shutil.rmtree(root / "train" / "bee")
    refused(root, "Class 'bee' is in .*test but not in .*train")
    shutil.rmtree(root / "train" / "ant")
    refused(root, "Class 'ant', 'bee' is in .*test but not in .*train")


def test_a_single_class_is_refused(root: Path) -> None:
    for name in ("bee", "cow"):
        shutil.rmtree(root / "train" / name)
        shutil.rmtree(root / "test" / name)
    refused(root, "has only the class 'ant': add a second one")


def test_a_class_with_one_training_image_is_refused(root: Path) -> None:
    for file in sorted((root / "train" / "cow").iterdir())[1:]:
        file.unlink()
    with pytest.raises(DataError, match=r"Class 'cow' has 1 training image"):
        load(Folder(path=root))


def test_a_class_may_lack_test_images(root: Path) -> None:
    shutil.rmtree(root / "test" / "cow")
    assert load(Folder(path=root)).test.labels.tolist() == [0] * 3 + [1] * 3


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_whose_name_is_not_utf8_is_named(root: Path, part: str) -> None:
    (root / part / "cow").rename(root / part / "vach\udce9")
    refused(root, r"the class vach\\xe9 .* is not UTF-8")


@pytest.mark.parametrize("in_test", [False, True])
def test_two_classes_that_look_the_same_are_named(root: Path, in_test: bool) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    (root / "train" / "ant").rename(root / "train" / composed)
    (root / "train" / "bee").rename(root / "train" / decomposed)
    (root / "test" / "ant").rename(root / "test" / decomposed)
    shutil.rmtree(root / "test" / "bee")
    if in_test:  # the folders of one class, unpacked by two systems
        shutil.rmtree(root / "train" / decomposed)
    refused(root, r"look the same, .* 'cafe\\u0301' and 'caf\\xe9'")


def test_a_file_whose_name_is_not_utf8_is_read(root: Path) -> None:
    before = load(Folder(path=root))
    first = root / "test" / "ant" / "000.png"
    first.rename(first.with_name("\udce9.png"))
    assert len(load(Folder(path=root)).test) == len(before.test)
