"""Rankings in Python are those of the commands and of MLflow."""

from __future__ import annotations

import io
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import cifar_exp
from cifar_exp.sweep import sweep
from cifar_exp.system import signals
from cifar_exp.tracking import Run, Tracker
from tests import tiny
from tests.bench import Bench
from tests.command import Cli
from tests.inline import inline_executor


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers of `run` in this process."""
    monkeypatch.setattr(sweep, "run", partial(sweep.run, new_executor=inline_executor))


class Cells(HTMLParser):
    """The cells of the rows of a table, and what a page would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.mark.usefixtures("inline", "no_pictures")
def test_a_run_is_that_of_the_command_and_continues_it(
    bench: Bench, cli: Cli, images: Path, tmp_path: Path, storage_url: str
) -> None:
    (tmp_path / "tiny.toml").write_text(tiny.definition(images, seeds="1"))
    done = cli("run", tmp_path / "tiny.toml", "--storage", storage_url, "--workers", "1")
    assert done.code == 0
    before = [record.run_id for record in bench.trainings()]

    experiment = cifar_exp.load(tmp_path / "tiny.toml", {"confirm.seeds": 2})
    handlers = {each: signal.getsignal(each) for each in signals.ENDING}
    with ThreadPoolExecutor(1) as thread:  # as in a server
        run = thread.submit(cifar_exp.run, experiment, workers=1, storage=storage_url, show=False)
        ranking = run.result()
    assert {each: signal.getsignal(each) for each in signals.ENDING} == handlers
    assert len(bench.records("trial")) == 6
    assert len(bench.records("confirmation")) == 4
    assert set(before) < {record.run_id for record in bench.trainings()}
    [swept] = [r for r in bench.records("sweep") if r.params["seeds"] == "2"]
    text = bench.client.download_artifacts(swept.run_id, "experiment.toml", str(tmp_path))
    assert cifar_exp.load(text) == experiment

    (tmp_path / "again.toml").write_text(experiment.to_toml())
    done = cli("run", tmp_path / "again.toml", "--storage", storage_url, "--workers", "1")
    assert "10 of 10 trainings already finished" in done.out
    assert str(ranking).splitlines()[2].split() in [line.split() for line in done.out.splitlines()]


@pytest.mark.usefixtures("swept")
def test_the_table_is_that_of_the_files(bench: Bench) -> None:
    ranking = cifar_exp.compare("tiny")
    rows = bench.ranking().combinations
    table = ranking.to_pandas()
    assert table["combination"].tolist() == [row.combination for row in rows]
    for name in ("rank", "test_accuracy_mean", "lr", "batch_size", "trials"):
        assert table[name].tolist() == [getattr(row, name) for row in rows]
    assert table["optimizer.momentum"].tolist() == [0.0, 0.0]
    assert ranking.best.combination == rows[0].combination
    assert ranking.complete
    assert repr(ranking) == "Ranking('tiny', 2 combinations)"


@pytest.mark.usefixtures("swept")
def test_a_notebook_shows_the_ranked_table(cli: Cli) -> None:
    ranking = cifar_exp.compare("tiny")
    cells = Cells(html := ranking._repr_html_())
    assert cells.rows[0][:3] == ["rank", "combination", "test accuracy"]
    assert [row[:2] for row in cells.rows[1:]] == [
        [str(rank), name] for rank, name in enumerate(ranking.to_pandas()["combination"], start=1)
    ]
    assert cells.links == []
    assert "<script" not in html
    assert len(html) < 10_000
    assert str(ranking) == cli("compare", "tiny").out.rstrip("\n")


@pytest.mark.usefixtures("swept")
def test_figures_are_drawn_by_name() -> None:
    ranking = cifar_exp.compare("tiny")
    figure = ranking.figure("heat map")
    assert isinstance(figure, Figure)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["cross_entropy", "mse"]
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    lines = ranking.figure("learning-curves").axes[0].get_lines()
    assert max(np.max(line.get_xdata()) for line in lines) == 2
    with pytest.raises(cifar_exp.BadInput, match=r'^unknown figure "pie"; there are heat map'):
        ranking.figure("pie")


@pytest.mark.usefixtures("swept")
def test_several_experiments(bench: Bench, cli: Cli, images: Path) -> None:
    bench.run(tiny.definition(images, name="other", epochs="1"))
    both = cifar_exp.compare("tiny", "other")
    assert str(both) == cli("compare", "tiny", "other").out.rstrip("\n")
    expected = pd.read_csv(io.StringIO(cli("compare", "tiny", "other", "--format", "csv").out))
    pd.testing.assert_frame_equal(both.to_pandas(), expected)
    assert Cells(both._repr_html_()).rows[0][:4] == ["mean rank", "combination", "tiny", "other"]
    assert len(both.figure().axes[0].get_lines()) >= 2
    assert repr(both) == "RanksAcross('tiny', 'other')"


@pytest.mark.usefixtures("inline", "no_pictures", "here")
def test_a_ranking_keeps_the_figures_of_its_own_sweep(images: Path) -> None:
    first, second = (
        cifar_exp.run(tiny.experiment(images, losses="mse = {}", epochs=epochs), show=False)
        for epochs in ("1", "2")
    )
    for ranking, epochs in ((first, 1), (second, 2)):
        lines = ranking.figure("learning curves").axes[0].get_lines()
        assert max(np.max(line.get_xdata()) for line in lines) == epochs


def test_curves_without_an_epoch_are_an_empty_table(bench: Bench, images: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "log_epochs", lambda *_: None)
        bench.run(tiny.definition(images, losses="mse = {}"))
    [sweep_] = bench.records("sweep")
    [parent] = bench.records("combination")
    tags = {"combination": "mse+sgd", "combination_id": parent.tags["combination_id"]}
    mlflow_experiment = bench.client.get_run(sweep_.run_id).info.experiment_id
    tracker = Tracker(bench.client, "tiny", mlflow_experiment)
    tracker.open_run("trial", "left by a crash", parent=parent.run_id, tags=tags, params={})
    curves = cifar_exp.read_curves("tiny")
    assert curves.empty
    assert "lr" in curves


def test_an_unknown_experiment(tracking_uri: str) -> None:
    with pytest.raises(cifar_exp.BadInput, match="holds no sweep of experiment 'mine'"):
        cifar_exp.compare("mine")
    with pytest.raises(cifar_exp.BadInput, match="holds no sweep of experiment 'mine'"):
        cifar_exp.read_curves("mine", tracking_uri=tracking_uri)


def test_wrong_arguments_start_nothing(here: Path, images: Path) -> None:
    experiment = tiny.experiment(images)
    with pytest.raises(
        cifar_exp.BadInput, match=r"^workers: should be a whole number of at least 1"
    ):
        cifar_exp.run(experiment, workers=0)
    many = tiny.experiment(images, seeds="100000")
    with pytest.raises(cifar_exp.BadInput, match=r"run: 200006 trainings, .* need yes=True"):
        cifar_exp.run(many)
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("swept")
def test_curves_are_the_history_of_every_training(bench: Bench) -> None:
    curves = cifar_exp.read_curves("tiny")
    assert len(curves) == 2 * (3 + 2) * 2  # combinations, trainings, epochs
    for record in bench.trainings():
        of_run = curves[curves["run_id"] == record.run_id]
        assert of_run["epoch"].tolist() == [1, 2]
        assert set(of_run["combination"]) == {record.combination}
        assert set(of_run["kind"]) == {record.kind}
        assert set(of_run["lr"]) == {float(record.params["lr"])}
        for metric in ("train/loss", "val/nll", "images_per_second"):
            history = bench.client.get_metric_history(record.run_id, metric)
            assert of_run[metric].tolist() == [point.value for point in history]
    assert not [name for name in curves if name.startswith(("test", "final"))]
