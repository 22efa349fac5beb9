"""Database files that may only be read, or whose file system lacks shared memory."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cifar_exp.errors import Unavailable
from cifar_exp.system import sqlite
from tests.permissions import without_root_rights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database as this program leaves it: for a write-ahead log, which is merged."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = folder / "my 50% #1?.db"
    with closing(sqlite.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        sqlite.prepare(connection)
        connection.execute("INSERT INTO t VALUES (2)")
        connection.commit()
    return path


@pytest.fixture
def protect(database: Path) -> Iterator[None]:
    """Without root's rights in a test; everything can be deleted after it."""
    with without_root_rights():
        yield
    database.parent.chmod(0o700)


def read(path: Path) -> list[int]:
    with closing(sqlite.connect(path)) as connection:
        sqlite.prepare(connection)
        return [x for (x,) in connection.execute("SELECT x FROM t")]


def crash_after_writing(path: Path) -> None:
    """Leave a row in the log of a database, as a killed process does."""
    insert = "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
    insert += "c.execute('INSERT INTO t VALUES (3)'); c.commit(); os._exit(0)"
    subprocess.run([sys.executable, "-c", insert, str(path)], check=True)


@pytest.mark.parametrize("folder_mode", [0o500, 0o700])
@pytest.mark.parametrize("file_mode", [0o400, 0o600])
@pytest.mark.usefixtures("protect")
def test_a_file_that_cannot_be_written_is_read_and_no_file_is_left(
    database: Path, file_mode: int, folder_mode: int
) -> None:
    before = database.read_bytes()
    database.chmod(file_mode)
    database.parent.chmod(folder_mode)
    assert read(database) == [1, 2]
    assert (list(database.parent.iterdir()), database.read_bytes()) == ([database], before)


@pytest.mark.usefixtures("protect")
def test_a_file_that_another_process_writes_to_is_read_with_its_log(database: Path) -> None:
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO t VALUES (3)")
        writer.commit()
        database.parent.chmod(0o500)
        assert read(database) == [1, 2, 3]
        database.parent.chmod(0o700)


@pytest.mark.usefixtures("protect")
def test_a_log_that_cannot_be_read_is_not_left_out(database: Path) -> None:
    crash_after_writing(database)
    database.with_name(f"{database.name}-shm").unlink()
    database.parent.chmod(0o500)
    with pytest.raises(sqlite3.OperationalError, match=r"-wal is not merged .* copy both files"):
        read(database)
    database.parent.chmod(0o700)
    assert read(database) == [1, 2, 3]


@pytest.mark.usefixtures("protect")
def test_a_file_without_read_access_and_a_folder_without_access(database: Path) -> None:
    database.chmod(0)
    with pytest.raises(sqlite3.OperationalError, match="there is no read access to the file"):
        read(database)
    database.parent.chmod(0)
    with pytest.raises(Unavailable, match="cannot be read: there is no access to its folder"):
        sqlite.exists(f"sqlite:///{database.with_name('mlflow.db')}")


WITHOUT_SHARED_MEMORY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
void *mmap64(void *a, size_t n, int p, int flags, int fd, off_t o) {
    char link[64], path[512];
    void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap64");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    if (length > 4 && !memcmp(path + length - 4, "-shm", 4)) { errno = ENODEV; return MAP_FAILED; }
    return real(a, n, p, flags, fd, o);
}
void *mmap(void *a, size_t n, int p, int f, int fd, off_t o) { return mmap64(a, n, p, f, fd, o); }
"""
PROGRAM = """
import sys
from pathlib import Path
from cifar_exp.system import sqlite
for path in sys.argv[1:]:
    connection = sqlite.connect(Path(path))
    sqlite.prepare(connection)
    connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    connection.execute("INSERT INTO t VALUES (4)")
    connection.commit()
    rows = [x for (x,) in connection.execute("SELECT x FROM t")]
    pragmas = (f"PRAGMA {name}" for name in ("journal_mode", "synchronous"))
    print(rows, *(connection.execute(pragma).fetchone()[0] for pragma in pragmas))
    connection.close()
"""


def test_without_shared_memory_a_rollback_journal_is_used(database: Path, tmp_path: Path) -> None:
    """The C library's `mmap` is replaced by one that fails as on a network file system."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("a library cannot be compiled here")
    library, source = tmp_path / "library.so", tmp_path / "library.c"
    source.write_text(WITHOUT_SHARED_MEMORY)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    new = database.with_name("new.db")
    crash_after_writing(database)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(library)}
    command = [sys.executable, "-c", PROGRAM, str(new), str(database)]
    full = 2
    assert subprocess.check_output(command, text=True, env=environment).splitlines() == [
        f"[4] delete {full}",
        f"[1, 2, 3, 4] delete {full}",
    ]
    assert {path.name for path in database.parent.glob("*.db*") if path.name[-4:] != "-shm"} == {
        new.name,
        database.name,
    }
