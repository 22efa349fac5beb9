"""The trainings as files: read with TensorBoard's own readers, and with Python's csv."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from cifar_exp.records import Point, RunRecord
from cifar_exp.report.export.tables import write_tables
from cifar_exp.report.export.training import ExportedTraining, folders
from tests import records
from tests.bench import Bench
from tests.command import Cli

START = 1_790_000_000_000


def training(
    record: RunRecord, accuracies: Iterable[float] = (), *, counted: bool = True
) -> ExportedTraining:
    """Return a training whose epochs end after 1, 2, ... seconds."""
    epochs = [
        Point(epoch, START + 1000 * epoch, {"val/accuracy": accuracy})
        for epoch, accuracy in enumerate(accuracies, start=1)
    ]
    last = epochs[-1].metrics if epochs else {}
    return ExportedTraining(
        record=replace(record, start_time=START, metrics={**record.metrics, **last}),
        epochs=tuple(epochs),
        counted=counted,
    )


def diverged(name: str, number: int) -> RunRecord:
    return records.trial(name, number, None, diverged=True, tags={"reason": "not finite"})


TRAININGS = [
    training(records.trial("a+b", 0, 0.5), [0.25, 0.5]),
    training(records.trial("a+b", 1, 0.25, state="PRUNED"), [0.25]),
    training(diverged("a+b", 2)),
    training(records.trial("a+b", 3, None, state=None, status="RUNNING", study=2), [0.125]),
    training(records.confirmation("a+b", 1, 0.75, params={"lr": "0.1"}), [0.5, 0.625]),
]
FOLDERS = [
    *("a+b/trial-0", "a+b/trial-1", "a+b/trial-2", "a+b/study-2/trial-3", "a+b/seed-1"),
]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_training_is_a_line_with_its_state_settings_and_metrics(tmp_path: Path) -> None:
    write_tables(TRAININGS, tmp_path)
    lines = rows(tmp_path / "trainings.csv")
    assert [line["state"] for line in lines] == [
        *("COMPLETE", "PRUNED", "FAIL", "RUNNING", "COMPLETE"),
    ]
    assert [line["diverged"] for line in lines] == ["False", "False", "True", "False", "False"]
    assert [line["lr"] for line in lines] == ["0.1", "0.2", "0.3", "0.4", "0.1"]
    assert [line["loss.gamma"] for line in lines] == ["1.5"] * 4 + [""]
    assert [line["val_accuracy"] for line in lines] == ["0.5", "0.25", "", "", ""]
    assert (lines[4]["kind"], lines[4]["test_accuracy"]) == ("confirmation", "0.75")
    assert (lines[2]["reason"], lines[3]["study"]) == ("not finite", "2")
    assert lines[0]["started"] == "2026-09-21T14:13:20.000+00:00"


def test_each_epoch_is_a_line_of_its_training(tmp_path: Path) -> None:
    write_tables(TRAININGS, tmp_path)
    lines = rows(tmp_path / "curves.csv")
    found = [(line["name"], line["epoch"], line["val/accuracy"]) for line in lines]
    assert found == [
        *(("a+b #0", "1", "0.25"), ("a+b #0", "2", "0.5")),
        ("a+b #1", "1", "0.25"),
        ("a+b #3", "1", "0.125"),
        *(("a+b seed 1", "1", "0.5"), ("a+b seed 1", "2", "0.625")),
    ]
    assert lines[1]["time"] == "2026-09-21T14:13:22.000+00:00"


def test_folders_are_different_on_every_file_system() -> None:
    edited = records.trial("a+b", 0, 0.5, run_id="0123456789", combination_id="older")
    other_case = records.trial("A+b", 0, 0.5, run_id="abcdef0123")
    single = replace(other_case, run_id="9876543210", kind="train", number=None, name="a+x:y")
    trainings = [
        training(edited, counted=False),
        *TRAININGS,
        training(other_case),
        training(replace(single, combination=None)),
    ]
    found = [str(folder) for folder in folders(trainings).values()]
    assert sorted(found) == sorted(
        [*FOLDERS, "a+b/trial-0-01234567", "A+b/trial-0-abcdef01", "a+x-y/98765432"]
    )


@pytest.mark.parametrize(
    ("name", "folder"),
    [("..", "run"), (".", "run"), ("../x.", "-x"), ("x" * 300, "x" * 200)],
)
def test_a_folder_has_a_safe_name_inside(name: str, folder: str) -> None:
    record = replace(records.trial("a+b", 0, 0.5), combination=name)
    others = [replace(record, run_id=f"{number}" * 32) for number in (1, 2)]
    found = folders(training(each) for each in [record, *others]).values()
    assert {path.parent for path in found} == {PurePosixPath(folder)}
    assert len(set(found)) == 3


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The trainings as logs of TensorBoard."""
    pytest.importorskip("tensorboard")
    from cifar_exp.report.export.tensorboard import write_tensorboard

    write_tensorboard(TRAININGS, tmp_path)
    return tmp_path


def test_tensorboard_reads_the_curves_of_each_training(logs: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def scalars(folder: str, tag: str) -> list[tuple[float, int, float]]:
        log = EventAccumulator(str(logs / folder))
        log.Reload()
        return [(event.wall_time, event.step, event.value) for event in log.Scalars(tag)]

    seconds = START / 1000
    assert sorted(str(path.parent.relative_to(logs)) for path in logs.rglob("*tfevents*")) == (
        sorted(FOLDERS)
    )
    assert scalars("a+b/trial-0", "val/accuracy") == [
        (seconds + 1, 1, 0.25),
        (seconds + 2, 2, 0.5),
    ]
    assert scalars("a+b/study-2/trial-3", "val/accuracy") == [(seconds + 1, 1, 0.125)]
    assert scalars("a+b/seed-1", "test_accuracy") == [(seconds + 2, 2, 0.75)]


def test_tensorboard_shows_each_training_once_with_its_settings_and_status(logs: Path) -> None:
    groups = {group["name"]: group for group in session_groups(logs)}
    assert sorted(groups) == sorted(FOLDERS)
    hparams = {name: group["hparams"] for name, group in groups.items()}
    assert [hparams[name]["state"] for name in FOLDERS] == [
        *("COMPLETE", "PRUNED", "diverged", "RUNNING", "COMPLETE"),
    ]
    assert [hparams[name]["lr"] for name in FOLDERS] == [0.1, 0.2, 0.3, 0.4, 0.1]
    assert hparams["a+b/trial-0"]["combination"] == "a+b"
    statuses = [groups[name]["sessions"][0]["status"] for name in FOLDERS]
    assert [status.removeprefix("STATUS_") for status in statuses] == [
        *("SUCCESS", "SUCCESS", "FAILURE", "RUNNING", "SUCCESS"),
    ]
    assert hparams["a+b/trial-0"]["loss.gamma"] == 1.5
    columns = [metric["name"]["tag"] for metric in groups["a+b/trial-0"]["metricValues"]]
    assert columns == ["val/accuracy", "val_accuracy", "seconds"]
    last = {m["name"]["tag"]: m["value"] for m in groups["a+b/seed-1"]["metricValues"]}
    assert (last["val/accuracy"], last["test_accuracy"]) == (0.625, 0.75)


def session_groups(logs: Path) -> list[dict[str, Any]]:
    """Return the rows of the HParams page, computed by its plug-in from a folder of logs."""
    from google.protobuf.json_format import MessageToDict
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logs))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    statuses = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=99, allowed_statuses=statuses, include_metrics=True
    )
    handler = list_session_groups.Handler(RequestContext(), context, "", request)
    found: list[dict[str, Any]] = MessageToDict(handler.run())["sessionGroups"]
    return found


@pytest.mark.usefixtures("swept")
def test_a_sweep_is_exported_as_it_is_in_mlflow(bench: Bench, cli: Cli, tmp_path: Path) -> None:
    out, tables = tmp_path / "logs", tmp_path / "new" / "tables"
    shown = cli("export", "tiny", "--tensorboard", out, "--csv", tables)
    assert shown.out.splitlines() == [
        f"10 trainings written to {tables}",
        f"10 trainings written to {out}",
    ]
    trainings = {r.run_id: r for r in bench.trainings()}
    lines = rows(tables / "trainings.csv")
    assert {line["run_id"] for line in lines} == set(trainings)
    assert {line["counted"] for line in lines} == {"True"}
    curves = rows(tables / "curves.csv")
    found = {(line["run_id"], int(line["epoch"])): float(line["val/nll"]) for line in curves}
    assert found == {
        (run_id, point.step): point.value
        for run_id in trainings
        for point in bench.client.get_metric_history(run_id, "val/nll")
    }
    assert len(list(out.glob("*/*/*tfevents*"))) == 10
    assert sorted(path.name for path in tables.iterdir()) == ["curves.csv", "trainings.csv"]
    assert not list(tmp_path.glob(".*-*"))


@pytest.mark.usefixtures("tracking_uri")
def test_bad_requests_are_one_sentence_and_write_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, full = tmp_path / "new", tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").touch()
    shown = cli("export", "tiny")
    assert (shown.code, shown.last) == (
        2,
        "Error: name a folder: --tensorboard DIR, --csv DIR or both",
    )
    shown = cli("export", "tiny", "--tensorboard", new, "--csv", full)
    sentence = f"{full} is not an empty folder, and nothing is overwritten"
    assert (shown.code, shown.last) == (2, sentence)
    shown = cli("export", "tiny", "--csv", new)
    assert shown.code == 2
    assert shown.last.endswith("holds no training of experiment 'tiny'")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    monkeypatch.delitem(sys.modules, "cifar_exp.report.export.tensorboard", raising=False)
    shown = cli("export", "tiny", "--tensorboard", new)
    assert shown.code == 2
    assert "--tensorboard needs a package: pip install 'cifar_exp[tensorboard]'" in shown.last
    assert not new.exists()
