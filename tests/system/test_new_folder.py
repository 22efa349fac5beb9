"""New folders: all files or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.system.new_folder import new_folder
from tests.permissions import without_root_rights


def write(folder: Path) -> None:
    with new_folder(folder) as place:
        (place / "a").mkdir()
        (place / "a" / "b.txt").write_text("b")
        (place / "c.txt").write_text("c")


def test_an_empty_folder_is_filled_though_its_parent_cannot_be_written(tmp_path: Path) -> None:
    """As of a folder that is mounted, whose parent may also be on another file system."""
    folder = tmp_path / "folder"
    folder.mkdir()
    tmp_path.chmod(0o555)
    try:
        with without_root_rights():
            write(folder)
    finally:
        tmp_path.chmod(0o755)
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert found == ["a", "a/b.txt", "c.txt"]


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_left_of_a_failure(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "folder"
    if exists:
        folder.mkdir()

    def fail() -> None:
        with new_folder(folder) as place:
            (place / "a.txt").touch()
            raise ValueError("fails")

    with pytest.raises(ValueError, match="fails"):
        fail()
    assert list(tmp_path.rglob("*")) == [folder] * exists
