"""What optuna-dashboard shows of a sweep: its own server answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.util import setup_testing_defaults

import pytest

from cifar_exp import study
from tests.bench import Bench, studies

optuna_dashboard = pytest.importorskip("optuna_dashboard")
pytestmark = pytest.mark.usefixtures("swept")

Get = Callable[[str], Any]


@pytest.fixture
def get(bench: Bench) -> Get:
    """Return a request to the dashboard of the bench's storage, answered without a port."""
    app = optuna_dashboard.wsgi(bench.storage_url)

    def answer(path: str) -> Any:
        environment: dict[str, Any] = {"PATH_INFO": path, "wsgi.input": BytesIO()}
        setup_testing_defaults(environment)
        return json.loads(b"".join(app(environment, lambda *_: None)))

    return answer


def test_studies_are_listed_by_combination_with_a_link_to_their_runs(
    bench: Bench, get: Get
) -> None:
    runs = {r.combination: r for r in bench.records("combination")}
    listed = get("/api/studies")["study_summaries"]
    assert [each["study_name"] for each in listed] == ["tiny/cross_entropy+sgd", "tiny/mse+sgd"]
    for each in listed:
        combination = runs[each["study_name"].removeprefix("tiny/")]
        shown = get(f"/api/studies/{each['study_id']}")
        attributes = {a["key"]: a["value"] for a in shown["user_attrs"]}
        assert attributes["combination_id"] == combination.combination_id
        assert shown["objective_names"] == ["validation accuracy"]
        address = urlsplit(shown["note"]["body"].partition("](")[2].partition(")")[0])
        page, _, query = address.fragment.partition("?")
        [condition] = parse_qs(query)["searchFilter"]
        found = bench.client.search_runs([page.split("/")[2]], condition)
        assert combination.run_id in {run.info.run_id for run in found}
        assert {run.data.tags["combination"] for run in found} == {combination.combination}
        assert len(found) == 6  # with three trials and two confirmations


def test_a_note_of_the_user_is_kept(bench: Bench, get: Get) -> None:
    first, second = studies(bench)
    optuna_dashboard.save_note(first, "the best one")
    storage = study.connect(bench.storage_url)
    for each in (first, second):
        study.save_note(storage, each.study_name, "**Tuning of** another address")
    notes = [get(f"/api/studies/{each._study_id}")["note"]["body"] for each in (first, second)]
    assert notes == ["the best one", "**Tuning of** another address"]
