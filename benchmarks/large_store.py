"""A store of thousands of runs: one combination of a real sweep, and copies of it.

A sweep of 2,000 trainings takes an hour even with the smallest network. So one combination is
trained, and its rows are copied in the database; each copy has its own ids, names and accuracies.
The rows have the content that MLflow wrote, whatever a sweep records.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks import synthetic
from benchmarks.asked import sweep_of
from cifar_exp.components import datasets
from cifar_exp.sweep import sweep

NAME = "large"
FIRST = "cross_entropy+sgd"
OPTIMIZERS_PER_LOSS = 5
DEFINITION = """
name = "large"
dataset = "digits"
model = "seed_cnn"
epochs = 10
search = {{ trials = {trials}, sampler = "random", pruner = "none", batch_size = [16, 32] }}
confirm = {{ seeds = {seeds} }}
keep_models = "best"
losses = {{ cross_entropy = {{}} }}
optimizers = {{ sgd = {{ lr = {{ low = 1e-3, high = 1e-2 }} }} }}
"""
COPIED = {
    "runs": {"run_uuid": "copy_of(run_uuid, n)", "name": f"replace(name, '{FIRST}', combination)"},
    "params": {
        "run_uuid": "copy_of(run_uuid, n)",
        "value": "CASE key WHEN 'loss' THEN loss WHEN 'optimizer' THEN optimizer ELSE value END",
    },
    "tags": {
        "run_uuid": "copy_of(run_uuid, n)",
        "value": f"""CASE
            WHEN key = 'combination_id' OR value IN copied THEN copy_of(value, n)
            ELSE replace(value, '{FIRST}', combination) END""",
    },
    "metrics": {"run_uuid": "copy_of(run_uuid, n)", "value": "worse(key, value, n)"},
    "latest_metrics": {"run_uuid": "copy_of(run_uuid, n)", "value": "worse(key, value, n)"},
    "inputs": {
        "input_uuid": "copy_of(input_uuid, n)",
        "source_id": "CASE WHEN source_id IN copied THEN copy_of(source_id, n) ELSE source_id END",
        "destination_id": """CASE WHEN destination_id IN copied
            THEN copy_of(destination_id, n) ELSE destination_id END""",
    },
}
"""The copied tables of MLflow, with the SQL expressions of the columns that differ in a copy."""
OWNERS = {"inputs": "source_id IN copied OR destination_id IN copied"}
"""The condition for rows of the first combination, in tables without the column run_uuid."""


def write_first(store: Path, trials: int, seeds: int) -> None:
    """Run a sweep of the first combination on a few images, with a new database."""
    text = DEFINITION.format(trials=trials, seeds=seeds)
    request = sweep_of(text, f"sqlite:///{store}", store.parent)
    sweep.run(request, datasets.load(synthetic.Synthetic(counts=(32, 20, 20))), lambda _: None)


def grow(store: Path, num_combinations: int) -> None:
    """Copy the first combination with all of its runs until there are `count` combinations."""
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.create_function("copy_of", 2, _copy_of)
        connection.create_function("worse", 3, _worse)
        _name_copies(connection, num_combinations)
        for table, changes in COPIED.items():
            _copy_rows(connection, table, changes)
        connection.execute("ANALYZE")


def _name_copies(connection: sqlite3.Connection, num_combinations: int) -> None:
    """List the runs to copy and the new combinations in temporary tables of this connection."""
    connection.execute(
        "CREATE TEMP TABLE copied AS SELECT run_uuid FROM tags WHERE key = 'combination_id' "
        "AND value = (SELECT one.value FROM tags AS one JOIN tags AS name USING (run_uuid) "
        "WHERE one.key = 'combination_id' AND name.key = 'combination' AND name.value = ?)",
        (FIRST,),
    )
    (num_existing,) = connection.execute(
        "SELECT count(*) FROM tags WHERE key = 'kind' AND value = 'combination'"
    ).fetchone()
    connection.execute("CREATE TEMP TABLE copies (n, loss, optimizer, combination)")
    for n in range(num_existing, num_combinations):
        loss, optimizer = (f"loss{n // OPTIMIZERS_PER_LOSS}", f"optimizer{n % OPTIMIZERS_PER_LOSS}")
        row = (n, loss, optimizer, f"{loss}+{optimizer}")
        connection.execute("INSERT INTO copies VALUES (?, ?, ?, ?)", row)


def _copy_rows(connection: sqlite3.Connection, table: str, changes: dict[str, str]) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changes.get(column, f"{table}.{column}") for column in columns)
    owned = OWNERS.get(table, "run_uuid IN copied")
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT {values} FROM {table}, copies WHERE {owned}"
    )


def _copy_of(identity: str, n: int) -> str:
    return f"{n:04x}{identity[4:]}"


def _worse(metric: str, value: float, n: int) -> float:
    """Return different accuracies for each copy: equal ones would make the ranking one tie."""
    return value * (1 - n / 1000) if metric.endswith("accuracy") else value
