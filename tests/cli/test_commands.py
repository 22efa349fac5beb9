from __future__ import annotations

import csv
import errno
import io
import json
import os
import shlex
import shutil
import signal
import socket
from pathlib import Path

import pytest
import tomli_w
import torch

from cifar_exp.cli.compare import _write
from cifar_exp.components.datasets import DATASETS
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.metrics.metrics import METRICS
from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.errors import BadInput, Unavailable
from cifar_exp.system.signals import Terminated
from cifar_exp.tracking import Run, connect, mlflow_experiment, read_records
from tests import tiny
from tests.command import Cli
from tests.definitions import RANGE, changed

ROOT = Path(__file__).parents[2]
QUICKSTART = "experiments/quickstart.toml"
IN_A_STORE = pytest.mark.usefixtures("tracking_uri", "no_pictures")


@pytest.fixture
def definition(tmp_path: Path, images: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tiny.definition(images))
    return path


# A sweep and later commands.


@pytest.mark.usefixtures("tracking_uri", "no_pictures")
def test_system_metrics_are_recorded_for_confirmations(
    cli: Cli, definition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitored: list[str] = []
    monkeypatch.setattr(Run, "monitor_system", lambda run: monitored.append(run.info.run_name))
    options = ("--trials", 1, "--seeds", 1, "--workers", 1)
    assert cli("run", definition, *options, "--system-metrics").code == 0
    assert sorted(monitored) == ["cross_entropy+sgd seed 1", "mse+sgd seed 1"]


def test_run_compare_and_train_the_best_again(
    cli: Cli, definition: Path, tracking_uri: str, tmp_path: Path
) -> None:
    ran = cli("run", definition, "--trials", 2, "--workers", 1, "--threads", 1)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "8 trainings: 2 combinations x (2 trials + 2 seeds)"
    assert "1 worker of 1 thread" in lines
    for text in ("[1/8] cross_entropy+sgd trial 0: val", "mse+sgd", "mlflow ui", "/#/experiments/"):
        assert text in ran.out

    table = cli("compare", "tiny")
    assert table.code == 0
    assert table.out in ran.out

    output = tmp_path / "files"
    content = json.loads(cli("compare", "tiny", "--format", "json", "--output", output).out)
    assert (content["yardstick"], content["alpha"], content["rope"]) == ("test_accuracy", 0.05, 0.5)
    best = content["combinations"][0]
    assert json.loads((output / "ranking.json").read_text()) == content
    rows = list(csv.DictReader(io.StringIO(cli("compare", "tiny", "--format", "csv").out)))
    assert [row["combination"] for row in rows] == [
        c["combination"] for c in content["combinations"]
    ]
    assert cli("compare", "tiny", "--format", "md").out == (output / "ranking.md").read_text()
    assert sorted(path.name for path in output.iterdir()) == [
        "figures",
        "ranking.csv",
        "ranking.json",
        "ranking.md",
        "ranking.tex",
        "report.html",
        "seeds.csv",
        "trials.csv",
    ]
    assert cli("compare", "tiny", "--format", "latex").out == (output / "ranking.tex").read_text()
    names = [c["combination"] for c in content["combinations"]]
    differ = json.loads(cli("compare", "tiny", "--pair", *names, "--format", "json").out)
    assert differ["settings"]["loss"] == [c["loss"] for c in content["combinations"]]
    assert differ["differences"]["test_accuracy"]["size"] == 2
    assert differ["images"]["num_images"] > 0
    assert cli("compare", "tiny", "--pair", *names).out.startswith(f"{names[0]} minus {names[1]}")
    assert cli("compare", "tiny", "x", "--pair", *names).code == 2
    assert cli("compare", "tiny", "--by", "loss").out.startswith("tiny by loss")
    assert cli("compare", "tiny", "x", "--by", "loss").code == 2
    assert "there is no other schedule" in cli("compare", "tiny", "--by", "schedule").err
    assert (output / "figures" / "heat-map.png").stat().st_size > 1000
    drawn = {path.stem for path in (output / "figures").iterdir()}
    assert {
        "learning-curves",
        "reliability",
    } <= drawn  # for combinations that are not in the ranking

    [line] = [line for line in ran.out.splitlines() if line.startswith("Best setting: ")]
    program, *command = shlex.split(line.removeprefix("Best setting: "))
    assert program == "cifar-exp"
    again = cli(*command)
    assert again.code == 0, again.err
    [trained] = read_records(connect(tracking_uri), "train")
    assert trained.metrics["val_accuracy"] == best["val_accuracy"]


def test_doctor_and_gc_do_not_change_the_ranking(
    cli: Cli, definition: Path, tracking_uri: str
) -> None:
    cli("run", definition, "--trials", 2, "--workers", 1)
    table = cli("compare", "tiny", "--format", "json").out
    [*_, last] = read_records(connect(tracking_uri), "tiny", kind="confirmation")
    connect(tracking_uri).update_run(last.run_id, status="RUNNING")
    line = f"tiny: confirmation {last.name} was left open: closed as FINISHED"
    for options, printed_lines in (
        (["--dry-run"], [line, "1 experiment examined, 1 finding; nothing was changed"]),
        ([], [line, "1 experiment examined, 1 finding"]),
        (["tiny"], ["1 experiment examined, 0 findings"]),
    ):
        visited = cli("doctor", *options)
        assert (visited.code, visited.out.splitlines(), visited.err) == (0, printed_lines, "")
    without = cli("doctor", "--storage", "sqlite:///no.db")
    assert (without.code, without.out) == (0, "1 experiment examined, 0 findings\n")
    missing = Path("no.db").absolute()
    assert without.err == f"there is no {missing}: no studies were examined; set --storage\n"
    for dry_run, done in ((["--dry-run"], "would be deleted"), ([], "deleted")):
        collected = cli("gc", "tiny", *dry_run)
        assert collected.code == 0
        assert collected.out.startswith("tiny: 2 stored models and the files of 0 deleted runs, ")
        assert collected.out.endswith(f" bytes, {done}\n")
    assert cli("compare", "tiny", "--format", "json").out == table
    for command in ("doctor", "gc"):
        refused = cli(command, "tinny")
        assert refused.code == 2
        assert "'tinny'" in refused.last


@pytest.mark.parametrize("option", ["--tracking-uri", "--storage"])
@pytest.mark.parametrize("place", ["file", "locked"])
def test_a_store_that_cannot_be_written_is_reported_before_the_data_is_read(
    cli: Cli,
    definition: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    place: str,
) -> None:
    monkeypatch.setattr(
        "cifar_exp.sweep.prepare.prepare", lambda *_: pytest.fail("the data was read")
    )
    folder = here / place
    if place == "locked":
        folder.mkdir(mode=0o555)
        if os.access(folder, os.W_OK):
            pytest.skip("root can write everywhere")
    else:
        folder.touch()
    refused = cli("run", definition, option, f"sqlite:///{folder}/store.db")
    assert refused.code == 3
    assert f"the database {folder}/store.db cannot be written: " in refused.last
    assert list(here.iterdir()) == [folder]


@IN_A_STORE
def test_compare_with_another_yardstick(cli: Cli, definition: Path) -> None:
    cli("run", definition, "--trials", 1, "--workers", 1)
    options = ("--yardstick", "test_nll", "--alpha", 0.1, "--rope", 2, "--target", 40)
    content = json.loads(cli("compare", "tiny", "--format", "json", *options).out)
    assert (content["yardstick"], content["alpha"], content["rope"]) == ("test_nll", 0.1, 2.0)
    assert content["target"] == 0.4
    means = [row["metric_means"]["test_nll"] for row in content["combinations"]]
    assert means == sorted(means)
    assert "test NLL" in cli("compare", "tiny", *options).out
    scaled = json.loads(cli("compare", "tiny", "--format", "json", "--yardstick", "nll").out)
    assert scaled["yardstick"] == "test_nll_scaled"


def test_every_file_and_folder_that_is_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("ranking.csv", "figures/a.png", "figures/a.svg", "report.html")
    _write(lambda folder: [folder / name for name in names], tmp_path)
    written = f"written to {tmp_path}: figures/, ranking.csv, report.html\n"
    assert capsys.readouterr().err == written


@pytest.mark.usefixtures("swept")
def test_an_output_folder_that_cannot_be_written_gives_one_sentence(
    cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (file, file / "folder"):
        shown = cli("compare", "tiny", "--output", folder)
        assert shown.code == 2
        assert shown.last == f"--output {folder}: cannot be written: Not a directory"
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EACCES, 2), (errno.EROFS, 2), (errno.ENOSPC, 3)]
)
@pytest.mark.usefixtures("swept")
def test_a_full_disk_is_not_an_input_error(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("cifar_exp.report.write", fail)
    shown = cli("compare", "tiny", "--output", tmp_path)
    assert shown.code == code
    assert shown.last == f"--output {tmp_path}: cannot be written: {os.strerror(number)}"


@pytest.mark.usefixtures("swept")
def test_a_training_in_the_mlflow_experiment_of_a_sweep_changes_no_ranking(
    cli: Cli, images: Path, tracking_uri: str
) -> None:
    before = cli("compare", "tiny", "--format", "json").out
    data = ("--dataset", "folder", "--data-dir", images, "--batch-size", 8, "--epochs", 1)
    assert cli("train", *data, "--experiment-name", "tiny").code == 0
    client = connect(tracking_uri)
    [trained] = read_records(client, "train")
    of_the_sweep = mlflow_experiment(client, "tiny")
    assert client.get_run(trained.run_id).info.experiment_id == of_the_sweep
    assert cli("compare", "tiny", "--format", "json").out == before


@IN_A_STORE
def test_compare_several_experiments(cli: Cli, definition: Path, tmp_path: Path) -> None:
    text = definition.read_text()
    definition.write_text(text)
    for name in ("tiny", "tinier"):
        definition.write_text(text.replace('name = "tiny"', f'name = "{name}"'))
        cli("run", definition, "--trials", 1, "--workers", 1)
    ran = cli("compare", "tiny", "tinier", "--format", "json", "--output", tmp_path / "both")
    content = json.loads(ran.out)
    assert content["experiments"] == ["tiny", "tinier"]
    # The same definition with two names: the orders are the same.
    assert content["concordance"] == 1.0
    assert f"written to {tmp_path / 'both'}: across.csv" in ran.err
    assert "mean rank" in cli("compare", "tiny", "tinier").out
    newest = cli("compare", "--format", "csv")
    assert newest.err == "comparing tinier, whose sweep began last\n"
    assert newest.out == cli("compare", "tinier", "--format", "csv").out


@IN_A_STORE
def test_run_again_reports_the_finished_trainings(cli: Cli, definition: Path) -> None:
    cli("run", definition, "--workers", 1)
    again = cli("run", definition, "--workers", 1)
    assert "10 of 10 trainings already finished" in again.out
    assert "] " not in again.out  # no lines of trainings


@IN_A_STORE
def test_run_with_more_trials_counts_from_the_finished_ones(cli: Cli, definition: Path) -> None:
    one_loss = definition.read_text().replace("mse = {}", "")
    definition.write_text(one_loss)
    cli("run", definition, "--trials", 1, "--workers", 1)
    more = cli("run", definition, "--trials", 3, "--workers", 1)
    lines = more.out.splitlines()
    assert "1 of 5 trainings already finished" in lines
    counted = [line.partition(" ")[0] for line in lines if line.startswith("[")]
    assert counted == ["[2/5]", "[3/5]", "[4/5]", "[5/5]"]


@IN_A_STORE
def test_run_warns_of_a_class_that_is_not_tested(
    cli: Cli, definition: Path, tmp_path: Path, images: Path
) -> None:
    lacking = shutil.copytree(images, tmp_path / "lacking")
    shutil.rmtree(lacking / "test" / "red")
    given = ("--dataset", "folder", "--data-dir", lacking, "--workers", 1)
    warnings = ["warning: there are no test images of red", "warning: there are only 6 validation"]

    def warned(text: str) -> bool:
        lines = text.strip().splitlines()
        return all(line.startswith(w) for line, w in zip(lines, warnings, strict=True))

    sizes = "training images of 3 classes, 6 validation images of 3 classes, "
    planned = cli("plan", definition, *given)
    assert planned.code == 0
    assert warned(planned.err)
    assert sizes in planned.out
    ran = cli("run", definition, *given, "--trials", 1, "--seeds", 1)
    assert ran.code == 0
    assert warned(ran.err)
    assert sizes in ran.out
    assert warnings[0] not in cli("plan", definition).err


def test_options_change_the_stored_definition(
    cli: Cli, definition: Path, tracking_uri: str, tmp_path: Path
) -> None:
    ran = cli(
        "run",
        definition,
        "--epochs",
        1,
        "--seeds",
        1,
        "--trials",
        1,
        "--studies",
        2,
        "--precision",
        "bf16",
        "--workers",
        1,
    )
    assert ran.code == 0, ran.err
    client = connect(tracking_uri)
    [sweep] = [r for r in read_records(client, "tiny") if r.kind == "sweep"]
    params = sweep.params
    names = ("epochs", "seeds", "trials", "studies", "precision")
    assert [params[name] for name in names] == ["1", "1", "1", "2", "bf16"]
    kept = Path(client.download_artifacts(sweep.run_id, "experiment.toml", str(tmp_path)))
    assert "seeds = 1" in kept.read_text()


@IN_A_STORE
def test_a_combination_without_a_result_gives_code_1(
    cli: Cli, tmp_path: Path, images: Path
) -> None:
    wild = tmp_path / "wild.toml"
    wild.write_text(
        tiny.definition(
            images,
            losses="mse = {}",
            optimizers="sgd = { lr = { low = 1e29, high = 1e30 } }",
            epochs="1",
        )
    )
    ran = cli("run", wild, "--workers", 1)
    assert ran.code == 1
    assert ran.last == "no result for mse+sgd"
    assert "no result" in ran.out
    assert "[1/5] mse+sgd trial 0: diverged" in ran.out
    assert "[5/5] mse+sgd seed 2: failed: no trial has a result" in ran.out
    assert cli("compare", "tiny").code == 1
    assert "3 of 5 trainings already finished" in cli("run", wild, "--workers", 1).out


def test_train_accepts_settings_and_reports_the_result(
    cli: Cli, images: Path, tracking_uri: str
) -> None:
    ran = cli(
        *("train", "--dataset", "folder", "--data-dir", images, "--loss", "focal"),
        *("-s", "loss.gamma=1.5", "-s", "optimizer.momentum=0.9", "-s", "optimizer.nesterov=true"),
        *("--schedule", "cosine", "-s", "schedule.warmup=0.1"),
        *("--epochs", 2, "--lr", 0.02, "--batch-size", 8, "--threads", 1),
    )
    assert ran.code == 0, ran.err
    *epochs, all_runs, this_run = ran.out.splitlines()[-4:]
    assert [line.split(":")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    [record] = read_records(connect(tracking_uri), "train")
    assert all_runs.startswith("All runs: mlflow ui ")
    assert this_run.startswith("This run: http://127.0.0.1:5000/#/experiments/")
    assert f"/runs/{record.run_id}?" in this_run
    assert record.params["loss.gamma"] == "1.5"
    assert record.params["optimizer.nesterov"] == "True"
    assert (record.params["schedule"], record.params["schedule.warmup"]) == ("cosine", "0.1")
    assert (record.kind, record.state) == ("train", "COMPLETE")
    assert "test_accuracy" not in record.metrics


@IN_A_STORE
def test_a_training_that_diverges_gives_code_1(cli: Cli, images: Path) -> None:
    folder = ("--dataset", "folder", "--data-dir", images)
    ran = cli("train", *folder, "--lr", 1e30, "--batch-size", 8)
    assert ran.code == 1
    assert ran.last.startswith("no result: ")


# Commands that do not train.


def test_plan_counts_and_records_nothing(cli: Cli, definition: Path, here: Path) -> None:
    shown = cli("plan", definition, "--workers", 2)
    assert shown.code == 0, shown.err
    for text in (
        "tiny: 2 combinations",
        "trials: 6, confirmations: 4",
        "epochs in total: 20",
        "at batch size 16",
        "time with 2 workers",
        "disk",
    ):
        assert text in shown.out
    assert not list(here.iterdir())


@pytest.mark.parametrize(("group", "together"), [(2, 2), (1_000_000, 3)])
def test_plan_measures_groups_of_the_size_in_the_sweep(
    cli: Cli, definition: Path, here: Path, group: int, together: int
) -> None:
    """Six trials with two batch sizes, so three of each on average, in groups of any size."""
    shown = cli("plan", definition, "--workers", 1, "--group", group)
    assert shown.code == 0, shown.err
    assert f"networks trained together: about {together}" in shown.out
    assert not list(here.iterdir())


@pytest.mark.chaos
@IN_A_STORE
def test_a_group_has_at_most_the_number_of_parallel_trainings(cli: Cli, definition: Path) -> None:
    options = ("--trials", 1, "--seeds", 1, "--epochs", 1, "--workers", 1, "--threads", 1)
    ran = cli("run", definition, *options, "--group", 1_000_000)
    assert ran.code == 0, ran.err
    assert "1 worker of 1 thread, up to 2 networks together" in ran.out.splitlines()


def test_there_are_at_most_as_many_workers_as_parallel_trainings(
    cli: Cli, definition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two combinations with three independent trials each."""
    requested: list[tuple[int, int]] = []

    def measure(_: object, __: object, workers: int, threads: int, ___: int) -> None:
        requested.append((workers, threads))
        raise BadInput("seen")

    monkeypatch.setattr("cifar_exp.sweep.plan.measure", measure)
    monkeypatch.setattr("cifar_exp.training.hardware.available_cores", lambda: 12)
    for workers in (5, 100_000):
        assert cli("plan", definition, "--workers", workers).last == "seen"
    assert requested == [(5, 2), (6, 2)]


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("losses", LOSSES),
        ("optimizers", OPTIMIZERS),
        ("models", MODELS),
        ("datasets", DATASETS),
        ("metrics", METRICS),
    ],
)
def test_list_shows_all_components_with_their_settings(
    cli: Cli, kind: str, table: dict[str, object]
) -> None:
    shown = cli("list", kind)
    assert shown.code == 0
    for name, component in table.items():
        [line] = [line for line in shown.out.splitlines() if line.startswith(f"{name}: ")]
        assert len(line) > len(name) + 20
        for setting in getattr(component, "model_fields", {}):
            assert f"    {setting} = " in shown.out


def test_version_and_help(cli: Cli) -> None:
    assert "cifar-exp, version" in cli("--version").out
    for command in ("run", "train", "compare", "plan", "list"):
        assert command in cli("--help").out
        assert "Usage: cifar-exp " in cli(command, "--help").out


# Wrong input: code 2, one sentence, no files.


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "missing.toml"),
        ("run", "missing.toml", "--workers", 0),
        ("run", "missing.toml", "--trials", 0),
        ("plan", "missing.toml"),
        ("compare", "nothing"),
        ("compare",),
        ("compare", "x", "--format", "pdf"),
        ("compare", "x", "--yardstick", "acc"),
        ("compare", "x", "--alpha", "1.5"),
        ("compare", "x", "--rope", "-1"),
        ("list", "planets"),
        ("train", "--lr", "nan"),
        ("train", "-s", "momentum=0.9"),
        ("train", "-s", "optimizer.momentum=fast"),
        ("train", "--batch-size", "5000"),
        ("nonsense",),
    ],
)
def test_wrong_input_gives_one_sentence(
    cli: Cli, here: Path, arguments: tuple[object, ...]
) -> None:
    shown = cli(*arguments)
    assert shown.code == 2
    assert shown.err.strip()
    assert "Traceback" not in shown.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "--batch-size", "0"), "--batch-size: should be at least 1"),
        (
            ("train", "--loss", "focal", "-s", "loss.gama=1"),
            '-s loss.gama: unknown name; did you mean "gamma"?',
        ),
        (
            ("train", "-s", "optimizer.type=adam"),
            "-s optimizer.type=adam: the optimizer is named by --optimizer",
        ),
        (
            ("train", "-s", "dataset.type=folder"),
            "-s dataset.type=folder: the dataset is named by --dataset",
        ),
        (
            ("train", "-s", "optimizer.momentum=0.9", "-s", "optimizer.momentum=0.8"),
            "-s optimizer.momentum=0.8: optimizer.momentum is given twice",
        ),
        (
            ("train", "-s", "optimizer.nesterov=true"),
            "-s optimizer: nesterov needs momentum above 0 and dampening 0",
        ),
        (("train", "--dataset", "folder"), "--data-dir: is missing"),
        (
            ("train", "--dataset", "digits", "--data-dir", "nowhere"),
            "--data-dir: the data set 'digits' brings its own images; leave it out",
        ),
        (
            ("plan", "FILE", "--precision", "fp16"),
            "--precision: should be 'fp32', 'tf32', 'bf16' or 'auto'",
        ),
        (("run", "FILE", "--dataset", "folde"), '--dataset: unknown dataset "folde"; did you mean'),
        (("run", "FILE", "--dataset", "folder"), "--data-dir: is missing"),
        (("run", "FILE", "--trials", "abc"), "'abc' is not a valid whole number."),
        (("run", "FILE", "--threads", "1025"), "'--threads': 1025 is not in the range 1<=x<=1024."),
        (("run", "FILE", "--group", "0"), "'--group': 0 is not in the range x>=1."),
        (("plan", "FILE", "--group", "x"), "'x' is not a valid whole number."),
        (
            ("train", "--experiment-name", " "),
            "Invalid value for '--experiment-name': the name is empty.",
        ),
        (
            ("train", "--experiment-name", "x" * 501),
            "'--experiment-name': the name has more than 500 characters.",
        ),
        (
            ("plan", QUICKSTART, "--data-dir", "nowhere"),
            "--data-dir: the data set 'digits' brings its own images; leave it out",
        ),
        (("train", "--threads", "100000"), "100000 is not in the range 1<=x<=1024."),
    ],
)
def test_messages_about_wrong_options_name_the_option(
    cli: Cli, definition: Path, here: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    files = {"FILE": str(definition), QUICKSTART: str(ROOT / QUICKSTART)}
    shown = cli(*(files.get(word, word) for word in arguments))
    assert shown.code == 2
    assert sentence in shown.last
    assert "definition" not in shown.last
    assert list(here.iterdir()) == []


def test_a_wrong_definition_lists_all_its_problems(cli: Cli, definition: Path, here: Path) -> None:
    text = definition.read_text()
    definition.write_text(text.replace("epochs", "epoch").replace("mse", "msee"))
    shown = cli("run", definition)
    assert shown.code == 2
    assert 'losses.msee.type: unknown loss "msee"; did you mean "mse"?' in shown.err
    assert 'epoch: unknown name; did you mean "epochs"?' in shown.err
    assert not list(here.iterdir())


def test_a_batch_larger_than_the_training_split_starts_nothing(
    cli: Cli, definition: Path, here: Path
) -> None:
    definition.write_text(definition.read_text().replace("[8, 16]", "[8, 1000]"))
    shown = cli("run", definition)
    assert (shown.code, shown.last) == (
        2,
        "search.batch_size: 1000 is more than the 54 training images",
    )
    assert not list(here.iterdir())


# Missing data or stores: code 3, one sentence, no files.


def test_missing_data_starts_nothing(cli: Cli, definition: Path, here: Path) -> None:
    shown = cli("run", definition, "--dataset", "folder", "--data-dir", here / "none")
    assert shown.code == 3
    assert str(here / "none") in shown.last
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("run", "FILE", "--precision", "tf32"),
        ("plan", "FILE", "--precision", "tf32"),
        ("train", "--dataset", "folder", "--data-dir", "none", "--precision", "tf32"),
    ],
)
def test_a_precision_that_this_machine_lacks_starts_nothing(
    cli: Cli, definition: Path, here: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """This is reported before the data is loaded, which may need a download."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shown = cli(*(definition if word == "FILE" else word for word in words))
    assert shown.code == 3
    assert shown.last.startswith("precision tf32 needs a GPU with TensorFloat-32")
    assert not list(here.iterdir())


def test_an_unreadable_image_starts_nothing(
    cli: Cli, definition: Path, here: Path, tmp_path: Path, images: Path
) -> None:
    broken = shutil.copytree(images, tmp_path / "broken")
    (broken / "train" / "red" / "0000.png").write_bytes(b"this is no image")
    shown = cli("run", definition, "--dataset", "folder", "--data-dir", broken)
    assert shown.code == 3
    assert "0000.png" in shown.last
    assert not list(here.iterdir())


def test_an_unavailable_tracking_server_starts_nothing(
    cli: Cli, definition: Path, here: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    shown = cli("run", definition, "--tracking-uri", uri)
    assert shown.code == 3
    assert f"{uri} does not answer" in shown.last
    assert not list(here.iterdir())


def test_one_database_for_both_stores_is_refused(cli: Cli, definition: Path, here: Path) -> None:
    uri = f"sqlite:///{here / 'both.db'}"
    for storage in (uri, f"{uri}?timeout=60"):
        shown = cli("run", definition, "--tracking-uri", uri, "--storage", storage)
        assert shown.code == 2
        assert f"MLflow and Optuna need separate databases, but both are set to {uri}" in shown.last
    assert not list(here.iterdir())


def test_a_store_that_mlflow_does_not_support_is_refused_in_plain_words(
    cli: Cli, definition: Path, here: Path
) -> None:
    shown = cli("run", definition, "--tracking-uri", "foo://bar")
    assert shown.code == 3
    assert shown.last.startswith(
        "the MLflow store foo://bar cannot be used: unknown kind of store; use "
    )
    assert not list(here.iterdir())


def test_a_storage_that_cannot_be_used_starts_no_sweep(
    cli: Cli, definition: Path, tracking_uri: str
) -> None:
    shown = cli("run", definition, "--storage", "sqlite:////proc/none/optuna.db")
    assert shown.code == 3
    assert "/proc/none/optuna.db cannot be written" in shown.last
    assert read_records(connect(tracking_uri), "tiny") == []


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (BadInput("no such thing"), 2, "no such thing"),
        (Unavailable("no disk"), 3, "no disk"),
        (RuntimeError("torn\nsecond line"), 3, "RuntimeError: torn (--debug shows where)"),
        (KeyboardInterrupt(), 130, "interrupted; nothing was recorded"),
        (Terminated(), 143, "terminated; nothing was recorded"),
        (Terminated(signal.SIGHUP), 129, "terminated by SIGHUP; nothing was recorded"),
    ],
)
def test_every_kind_of_end_has_its_exit_code_and_sentence(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("cifar_exp.display.console.print_components", fail)
    shown = cli("list", "losses")
    assert (shown.code, shown.out, shown.err.strip()) == (code, "", sentence)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "no.toml"], "interrupted; run the same command again to resume"),
        (
            ["train"],
            "interrupted; `train` does not resume: "
            "the same command starts again at the first epoch",
        ),
        (["plan", "no.toml"], "interrupted; nothing was recorded"),
        (["--debug", "gc", "x"], "interrupted; run the same command again to resume"),
    ],
)
def test_an_interruption_explains_the_effect_of_the_same_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.Command.invoke", interrupt)
    shown = cli(*words)
    assert (shown.code, shown.last) == (130, sentence)


@pytest.mark.parametrize(("trials", "code"), [(2495, 3), (2496, 2)])
def test_up_to_ten_thousand_trainings_start_without_yes(
    cli: Cli, here: Path, trials: int, code: int
) -> None:
    """Four combinations with 5 seeds each; a sweep that starts fails, as there is no store."""
    file = here / "large.toml"
    file.write_text(
        tomli_w.dumps(changed({"confirm/seeds": 5, "optimizers/adamw/lr": RANGE})), encoding="utf-8"
    )
    shown = cli("run", file, "--trials", trials, "--storage", "sqlite:////proc/none/optuna.db")
    assert shown.code == code
    message = f"{file}: 10004 trainings, and more than 10000 need --yes; "
    assert shown.last.startswith(message) is (code == 2)


def test_the_most_trainings_count_where_results_decide(cli: Cli, here: Path) -> None:
    """Four combinations, each with 2 to 25 studies of 100 trials and a confirmation."""
    file = here / "large.toml"
    confirm = {"confirm/until": "decided", "confirm/most": 25}
    search = {"search/trials": 100, "search/studies": 2, "optimizers/adamw/lr": RANGE}
    document = changed({**search, **confirm})
    file.write_text(tomli_w.dumps(document), encoding="utf-8")
    shown = cli("run", file, "--storage", "sqlite:////proc/none/optuna.db")
    assert shown.code == 2
    assert shown.last.startswith(f"{file}: up to 10100 trainings, and more than 10000 need --yes")


def test_debug_shows_the_traceback_before_the_sentence(cli: Cli, here: Path) -> None:
    shown = cli("run", "missing.toml", "--debug")
    assert shown.code == 2
    assert shown.err.startswith("Traceback (most recent call last)")
    assert shown.last == "missing.toml: there is no such file"
    assert not list(here.iterdir())
