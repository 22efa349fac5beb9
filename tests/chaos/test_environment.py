"""Variables of MLflow that somebody has left in the environment."""

from __future__ import annotations

import pytest

from tests.chaos.bench import Bench, Outcome
from tests.chaos.conftest import NewBench

pytestmark = [pytest.mark.chaos, pytest.mark.chaos_short]

ONE = ["--workers", "1"]


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A bench whose store holds somebody else's experiment, which the variables name."""
    bench = new_bench()
    other = bench.client.create_experiment("other")
    bench.environment |= {"MLFLOW_EXPERIMENT_ID": other, "MLFLOW_EXPERIMENT_NAME": "other"}
    return bench


def test_another_experiment_gets_no_run(bench: Bench, undisturbed: Outcome) -> None:
    done = bench.run(*ONE)
    assert done.returncode == 0, done.stderr
    bench.check()
    assert bench.outcome() == undisturbed
    assert bench.client.search_runs([bench.environment["MLFLOW_EXPERIMENT_ID"]]) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_new_run_becomes_the_one_parent_and_keeps_its_parameters(
    bench: Bench, undisturbed: Outcome, workers: str
) -> None:
    place = bench.environment["MLFLOW_EXPERIMENT_ID"]
    given = bench.client.create_run(place).info.run_id
    bench.client.log_param(given, "learner", "mine")
    bench.environment["MLFLOW_RUN_ID"] = given
    done = bench.run("--workers", workers)
    assert done.returncode == 0, done.stderr
    bench.check()
    assert bench.outcome()["results"] == undisturbed["results"]
    [sweep] = bench.records("sweep")
    assert (sweep.run_id, sweep.params["learner"]) == (given, "mine")
    combinations = bench.records("combination")
    assert {c.parent for c in combinations} == {given}
    assert {t.parent for t in bench.trainings()} == {c.run_id for c in combinations}


@pytest.mark.parametrize("state", ["ended", "deleted", "a trial"])
def test_an_old_run_is_left_alone_and_named(bench: Bench, state: str) -> None:
    run_id = bench.client.create_run(bench.environment["MLFLOW_EXPERIMENT_ID"]).info.run_id
    match state:
        case "ended":
            bench.client.set_terminated(run_id)
        case "deleted":
            bench.client.delete_run(run_id)
        case _:
            bench.client.set_tag(run_id, "kind", "trial")
    before = bench.client.get_run(run_id).to_dictionary()
    bench.environment["MLFLOW_RUN_ID"] = run_id
    refused = bench.run(*ONE)
    assert refused.returncode == 3
    [told] = refused.stderr.strip().splitlines()
    assert told.startswith("MLFLOW_RUN_ID names a run that is not a new one")
    assert bench.client.get_run(run_id).to_dictionary() == before
    assert bench.records("sweep", "combination", "trial", "confirmation") == []
