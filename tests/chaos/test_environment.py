"""Environment variables of MLflow that were set before."""

from __future__ import annotations

import pytest

from tests.chaos.bench import Outcome, ProcessBench
from tests.chaos.conftest import NewBench

pytestmark = pytest.mark.chaos


@pytest.fixture
def bench(new_bench: NewBench) -> ProcessBench:
    """A bench whose store has another experiment, which the variables name."""
    bench = new_bench()
    place = str(bench.folder / "mlruns" / "other")
    other = bench.client.create_experiment("other", artifact_location=place)
    bench.environment |= {"MLFLOW_EXPERIMENT_ID": other, "MLFLOW_EXPERIMENT_NAME": "other"}
    return bench


def test_another_experiment_gets_no_run(bench: ProcessBench, undisturbed: Outcome) -> None:
    done = bench.run("--workers", "1")
    assert done.returncode == 0, done.stderr
    bench.check()
    assert bench.outcome() == undisturbed
    assert bench.client.search_runs([bench.environment["MLFLOW_EXPERIMENT_ID"]]) == []


def test_a_new_run_becomes_the_one_parent_and_keeps_its_parameters(
    bench: ProcessBench, undisturbed: Outcome
) -> None:
    given = bench.client.create_run(bench.environment["MLFLOW_EXPERIMENT_ID"]).info.run_id
    bench.client.log_param(given, "learner", "mine")
    bench.environment["MLFLOW_RUN_ID"] = given
    done = bench.run("--workers", "2")
    assert done.returncode == 0, done.stderr
    bench.check()
    assert bench.outcome()["results"] == undisturbed["results"]
    [sweep] = bench.records("sweep")
    assert (sweep.run_id, sweep.params["learner"]) == (given, "mine")
    combinations = bench.records("combination")
    assert {c.parent for c in combinations} == {given}
    assert {t.parent for t in bench.trainings()} == {c.run_id for c in combinations}


@pytest.mark.chaos_short
def test_an_old_run_is_not_changed(bench: ProcessBench) -> None:
    given = bench.client.create_run(bench.environment["MLFLOW_EXPERIMENT_ID"]).info.run_id
    bench.client.set_terminated(given)
    before = bench.client.get_run(given).to_dictionary()
    bench.environment["MLFLOW_RUN_ID"] = given
    refused = bench.run("--workers", "1")
    assert refused.returncode == 3
    *_, line = refused.stderr.strip().splitlines()
    assert line.startswith("MLFLOW_RUN_ID names a run that is not a new one")
    assert bench.client.get_run(given).to_dictionary() == before
    assert bench.records() == []
