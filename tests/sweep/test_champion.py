"""The champion of a sweep in MLflow's registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from cifar_exp.components.datasets import Dataset
from cifar_exp.maintenance import model_gc
from cifar_exp.system import fault_injection
from tests import tiny
from tests.bench import Bench

VERSION, OTHER = "1", "2"


def versions(bench: Bench) -> list[str]:
    found = bench.client.search_model_versions("name = 'tiny'")
    return sorted(str(version.version) for version in found)


def logits_of(model: str, data: Dataset) -> np.ndarray[Any, Any]:
    predicted: np.ndarray[Any, Any] = mlflow.pyfunc.load_model(f"models:/{model}").predict(
        data.test.images.numpy()
    )
    return predicted


def small(images: Path, epochs: int = 1) -> str:
    return tiny.definition(images, epochs=str(epochs), losses="mse = {}")


@pytest.mark.usefixtures("swept")
def test_the_first_combination_is_registered_once_with_what_is_known_of_it(
    bench: Bench, images: Path, data: Dataset
) -> None:
    for _ in range(2):
        ranking = bench.run(tiny.definition(images))
    [sweep] = bench.records("sweep")
    first = ranking.combinations[0]
    [champion] = [
        r for r in bench.records("confirmation") if r.name == f"{first.combination} seed 1"
    ]
    assert versions(bench) == [VERSION]
    found = bench.client.get_model_version_by_alias("tiny", "champion")
    assert found.run_id == champion.run_id == sweep.tags["champion"]
    assert first.test_accuracy_mean is not None
    assert found.tags.pop("test_accuracy_interval").startswith(f"{first.interval_low:.4f} to ")
    assert found.tags == {
        "combination": first.combination,
        "test_accuracy": f"{first.test_accuracy_mean:.4f}",
        "seeds": "2",
        "studies": "",
        "sweep": sweep.run_id,
    }
    correct = logits_of("tiny@champion", data).argmax(1) == data.test.labels.numpy()
    assert correct.mean() == champion.metrics["test_accuracy"]


def test_another_champion_is_a_new_version_and_the_old_one_is_kept(
    bench: Bench, images: Path, data: Dataset
) -> None:
    bench.run(small(images, epochs=1), group=2)
    before = logits_of(f"tiny/{VERSION}", data)
    champion = bench.client.get_run(bench.records("sweep")[0].tags["champion"])
    accuracy = (before.argmax(1) == data.test.labels.numpy()).mean()
    assert accuracy == pytest.approx(champion.data.metrics["test_accuracy"], abs=1 / len(data.test))
    bench.run(small(images, epochs=2))
    assert versions(bench) == [VERSION, OTHER]
    model_gc.collect("tiny", bench.tracking_uri, dry_run=False)
    assert (logits_of(f"tiny/{VERSION}", data) == before).all()
    after = logits_of("tiny@champion", data)
    assert (after != before).any()
    bench.run(small(images, epochs=1))  # the first definition again
    assert versions(bench) == [VERSION, OTHER]
    assert (logits_of("tiny@champion", data) == before).all()


def test_the_tags_of_a_version_are_those_of_the_last_ranking(bench: Bench, images: Path) -> None:
    for seeds, has_interval in (("2", True), ("1", False)):
        bench.run(tiny.definition(images, seeds=seeds, losses="mse = {}"))
        found = bench.client.get_model_version_by_alias("tiny", "champion")
        assert found.tags["seeds"] == seeds
        assert bool(found.tags["test_accuracy_interval"]) == has_interval


class Killed(BaseException):
    """The process is killed."""


def killed_at(point: str) -> Callable[..., None]:
    def inject(name: str, **_: object) -> None:
        if name == point:
            raise Killed

    return inject


def test_a_sweep_that_is_killed_while_it_registers_has_one_version_when_repeated(
    bench: Bench, images: Path
) -> None:
    for point in ("before_version", "before_alias"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fault_injection, "point", killed_at(point))
            with pytest.raises(Killed):
                bench.run(small(images))
    bench.run(small(images))
    assert versions(bench) == [VERSION]
    found = bench.client.get_model_version_by_alias("tiny", "champion")
    assert found.tags["combination"] == "mse+sgd"
    assert model_gc.collect("tiny", bench.tracking_uri, dry_run=True).models == 2  # trials


def test_a_store_without_a_registry_gives_a_notice(
    bench: Bench, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no registry\nfor you")

    monkeypatch.setattr(mlflow.MlflowClient, "create_registered_model", refuse)
    ranking = bench.run(small(images))
    assert ranking.complete
    assert [notice.sentence for notice in bench.looks] == [
        "the champion of tiny is not registered: no registry"
    ]


def test_a_champion_whose_model_was_deleted_gives_a_notice(bench: Bench, images: Path) -> None:
    bench.run(small(images))
    bench.client.delete_registered_model("tiny")
    [sweep] = bench.records("sweep")
    champion = bench.client.get_run(sweep.tags["champion"])
    assert champion.outputs is not None
    for output in champion.outputs.model_outputs:
        bench.client.delete_logged_model(output.model_id)
    bench.run(small(images))
    assert [notice.sentence for notice in bench.looks] == [
        f"the champion of tiny is not registered: its run {sweep.tags['champion']} has no stored "
        "model"
    ]
