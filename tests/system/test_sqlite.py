from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_exp.errors import BadInput
from cifar_exp.system import sqlite
from cifar_exp.system.urls import store_name, without_credentials
from tests.folder_names import ODD

LETTERS = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
NAMES = st.text(LETTERS, min_size=1).filter(lambda name: name != "..")


@pytest.mark.parametrize("name", ODD)
def test_a_database_is_created_in_the_folder_of_that_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "store.db"
    file.parent.mkdir()
    engine = sqlalchemy.create_engine(sqlite.url_of(file))
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("CREATE TABLE t (x)")
    engine.dispose()
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.db")] == [
        Path(name, file.name)
    ]


@settings(deadline=None)
@given(name=NAMES)
def test_the_url_of_a_path_is_read_back_as_that_path(name: str) -> None:
    file = Path("/x", name, "store.db")
    url = sqlite.url_of(file)
    assert sqlalchemy.make_url(url).database == str(file)
    assert sqlite.file(url) == file
    assert without_credentials(url) == url
    assert store_name(url) == f"sqlite {file}"


def test_the_url_of_an_ordinary_path_is_the_plain_one() -> None:
    assert sqlite.url_of(Path("/a b/c-1_2.x/mlflow.db")) == "sqlite:////a b/c-1_2.x/mlflow.db"


def test_a_path_that_is_not_utf8_is_named() -> None:
    with pytest.raises(BadInput, match=r"the name of /caf\\xe9/x is not UTF-8"):
        sqlite.url_of(Path("/caf\udce9/x"))
