from __future__ import annotations

import base64
import json
import runpy
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from cifar_exp.tracking import (
    Tracker,
    describe_experiment,
    describe_runs,
    ranked_experiments,
    save_views,
)
from cifar_exp.tracking.ui.experiment import is_users
from cifar_exp.tracking.ui.runs import COLOUR

ROOT = Path(__file__).parents[2]
OLDER = (
    '{"searchFilter": "tags.kind = \'combination\'", "orderByKey": "metrics.`rank`", '
    '"orderByAsc": true, "selectedColumns": ["metrics.`rank`", "metrics.`test_accuracy_mean`", '
    '"metrics.`test_accuracy_std`", "metrics.`seeds`", "metrics.`trials`", "metrics.`diverged`", '
    '"metrics.`seconds`", "params.`lr`", "params.`batch_size`"]}'
)
"""The view "Ranking" of version 0.1.0."""
RANKING = "mlflow.sharedViewState.ranking"


def tags_of(tracker: Tracker) -> dict[str, str]:
    return dict(tracker.client.get_experiment(tracker.mlflow_experiment_id).tags)


def packed(view: str) -> str:
    """Return a view as MLflow's UI saves it."""
    state = "deflate;" + base64.b64encode(zlib.compress(view.encode())).decode()
    return json.dumps({"name": "Ranking", "createdAt": 1, "updatedAt": 1, "state": state})


def unpacked(saved: str) -> dict[str, Any]:
    state = json.loads(saved)["state"].removeprefix("deflate;")
    view: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(state)))
    return view


def test_saved_views_have_the_format_of_mlflow(tracker: Tracker) -> None:
    save_views(tracker.client, tracker.mlflow_experiment_id)
    before = tags_of(tracker)
    for key, name, kind, order, ascending in (
        ("ranking", "Ranking", "combination", "rank", True),
        ("trials-by-combination", "Trials by combination", "trial", "val_accuracy", False),
        ("parallel-coordinates", "Parallel coordinates", "trial", "val_accuracy", False),
    ):
        saved = before[f"mlflow.sharedViewState.{key}"]
        assert json.loads(saved)["name"] == name
        view = unpacked(saved)
        assert view["searchFilter"] == f"tags.kind = '{kind}'"
        assert (view["orderByKey"], view["orderByAsc"]) == (f"metrics.`{order}`", ascending)
    save_views(tracker.client, tracker.mlflow_experiment_id)
    assert tags_of(tracker) == before


def test_a_view_of_an_older_version_is_updated(tracker: Tracker) -> None:
    tracker.client.set_experiment_tag(tracker.mlflow_experiment_id, RANKING, packed(OLDER))
    assert not is_users(RANKING, packed(OLDER))
    save_views(tracker.client, tracker.mlflow_experiment_id)
    assert "columnOrder" in unpacked(tags_of(tracker)[RANKING])


@pytest.mark.parametrize(
    "text", [packed(OLDER.replace("seconds", "seeds")), "no JSON", "[]", '{"state": "deflate;x"}']
)
def test_a_view_that_a_user_has_changed_is_kept(tracker: Tracker, text: str) -> None:
    tracker.client.set_experiment_tag(tracker.mlflow_experiment_id, RANKING, text)
    save_views(tracker.client, tracker.mlflow_experiment_id)
    assert tags_of(tracker)[RANKING] == text
    assert is_users(RANKING, text)
    assert not is_users(RANKING, "")


def test_trials_get_the_colour_of_their_combination_and_their_setting(tracker: Tracker) -> None:
    for number, decay, batch_size in ((0, 0.25, 8), (1, 1e-05, 16)):
        tracker.open_run(
            "trial",
            f"a+b #{number}",
            tags={"combination": "a+b", "number": str(number)},
            params={
                "lr": 0.001234567,
                "batch_size": batch_size,
                "optimizer.weight_decay": decay,  # searched
                "optimizer.momentum": 0.9,  # the same in all trials
            },
        )
    tracker.open_run("trial", "c+d #0", tags={"combination": "c+d", "number": "0"}, params={})
    tracker.open_run("trial", "a+b #2", tags={"combination": "a+b", "number": "2"}, params={})
    describe_runs(tracker.client, tracker.records(), {"a+b": "#0072b2"})
    first, second, other, left_by_a_crash = tracker.records()
    assert left_by_a_crash.tags[COLOUR] == "#0072b2"
    assert "setting" not in left_by_a_crash.tags
    assert first.tags[COLOUR] == second.tags[COLOUR] == "#0072b2"
    assert first.tags["setting"] == "lr 0.00123, batch_size 8, optimizer.weight_decay 0.25"
    assert second.tags["setting"] == "lr 0.00123, batch_size 16, optimizer.weight_decay 1e-05"
    assert first.metrics["log10_lr"] == -2.9085  # log10 of 0.001234567 is -2.90849...
    assert COLOUR not in other.tags


def test_runs_that_are_described_already_cause_no_request(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"lr": 0.1, "batch_size": 8}
    tracker.open_run("trial", "a+b #0", tags={"combination": "a+b", "number": "0"}, params=params)
    describe_runs(tracker.client, tracker.records(), {"a+b": "#0072b2"})
    described = tracker.records()
    monkeypatch.setattr(tracker.client, "log_batch", None)  # a call would fail
    describe_runs(tracker.client, described, {"a+b": "#0072b2"})


def test_the_experiment_with_the_newest_sweep_is_the_first(tracker: Tracker) -> None:
    client = tracker.client
    ids = [client.create_experiment(name) for name in ("older", "newer", "no ranking")]
    for start_time, experiment_id in enumerate(ids, start=1):
        client.create_run(experiment_id, start_time=start_time, tags={"kind": "sweep"})
        client.create_run(experiment_id, start_time=9 - start_time, tags={"kind": "train"})
    for experiment_id in ids[:2]:
        save_views(client, experiment_id)
    pages = {"newer": f"/experiments/{ids[1]}/runs", "older": f"/experiments/{ids[0]}/runs"}
    assert list(ranked_experiments(client).items()) == list(pages.items())


def test_a_description_that_is_too_long_or_the_users_own_is_not_changed(tracker: Tracker) -> None:
    def note() -> str:
        experiment = tracker.client.get_experiment(tracker.mlflow_experiment_id)
        return str(experiment.tags["mlflow.note.content"])

    for text in ("first", "second"):
        describe_experiment(tracker.client, tracker.mlflow_experiment_id, text)
        assert note().endswith(text)
    describe_experiment(tracker.client, tracker.mlflow_experiment_id, "x" * 20_000)
    assert note().endswith("second")
    tracker.client.set_experiment_tag(tracker.mlflow_experiment_id, "mlflow.note.content", "mine")
    describe_experiment(tracker.client, tracker.mlflow_experiment_id, "third")
    assert note() == "mine"


@pytest.mark.usefixtures("swept")
def test_make_ui_prints_the_address_of_the_ranking(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rankings_in_mlflow.py", "http://127.0.0.1:5001"])
    runpy.run_path(str(ROOT / "scripts" / "rankings_in_mlflow.py"))
    assert capsys.readouterr().out == (
        "Ranking of tiny: http://127.0.0.1:5001/#/experiments/1/runs?viewStateShareKey=ranking"
        "&workflowType=machine_learning\n"
    )
