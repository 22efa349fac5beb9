"""Sweeps with plug-ins: trainers, resuming, artifacts, failures, stored models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_exp.components.plugins import registry
from cifar_exp.components.plugins.plugin import PluginError
from tests import plugins, tiny
from tests.bench import Bench
from tests.plugins import LOSS, NETWORK, OPTIMIZER, write

DEFINITION = {
    "losses": "mse = {}\ntempered = { temperature = { low = 0.5, high = 2.0 } }",
    "optimizers": "Plain = { lr = { low = 0.01, high = 0.1 } }",
    "search": 'trials = 1\nsampler = "random"\npruner = "none"\nbatch_size = [16]',
    "seeds": "1",
    "epochs": "1",
}


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    with plugins.none_left():
        yield


def definition(images: Path, **changes: str) -> str:
    text = tiny.definition(images, **{**DEFINITION, **changes})
    return text.replace("seed_cnn_relu", "Colours")


def test_trainers_have_the_plugin_that_the_command_has_read(
    bench: Bench, images: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, LOSS, OPTIMIZER, NETWORK)
    source = path.read_bytes()
    plugins.load(path)
    path.write_text("raise ValueError('edited while the sweep runs')", encoding="utf-8")
    ranking = bench.run(definition(images), workers=2, inline=False)
    assert ranking.complete
    [sweep] = bench.records("sweep")
    artifact = bench.client.download_artifacts(sweep.run_id, "plugins/my.py", str(tmp_path))
    assert Path(artifact).read_bytes() == source
    [plugin] = registry.loaded_plugins()
    assert {r.tags["plugins"] for r in bench.records()} == {f"my.py {plugin.digest}"}


def test_an_edited_plugin_trains_only_what_uses_it(
    bench: Bench, images: Path, tmp_path: Path
) -> None:
    changes = {"optimizers": "sgd = { lr = { low = 0.01, high = 0.1 } }"}
    text = definition(images, **changes).replace("Colours", "seed_cnn_relu")
    plugins.load(write(tmp_path, LOSS))
    bench.run(text)
    before = {r.run_id for r in bench.trainings()}
    bench.run(text)
    assert {r.run_id for r in bench.trainings()} == before
    plugins.load(write(tmp_path, LOSS, "# edited"))
    bench.run(text)
    new = [r for r in bench.trainings() if r.run_id not in before]
    assert {r.combination for r in new} == {"tempered+sgd"}
    assert [look.sentence for look in bench.looks if "earlier" in look.sentence] == [
        "earlier results of tempered+sgd do not count: the source of loss tempered has changed"
    ]


FAULTS = {
    "shape": (
        'reduction="none")',
        ")",
        "TypeError: loss tempered (my.py, line 5) returned shape ()",
    ),
    "raises": ("return torch", "raise KeyError(temperature)\n    return torch", "KeyError: "),
    "dtype": ('"none")', '"none").double()', "returned torch.float64 for logits of torch.float32"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_training_with_its_place(
    bench: Bench, images: Path, tmp_path: Path, fault: str
) -> None:
    old, new, reason = FAULTS[fault]
    plugins.load(write(tmp_path, LOSS.replace(old, new), NETWORK, OPTIMIZER))
    ranking = bench.run(definition(images))
    assert not ranking.complete
    failed = [r for r in bench.trainings() if r.combination == "tempered+Plain"]
    assert {r.state for r in failed} == {"FAIL"}
    assert all(reason in r.tags["reason"] for r in failed)
    if fault == "raises":
        assert all(r.tags["reason"].endswith("(my.py, line 8)") for r in failed)


def test_nan_is_a_divergence(bench: Bench, images: Path, tmp_path: Path) -> None:
    plugins.load(
        write(tmp_path, LOSS.replace("logits / temp", "logits / 0 * temp"), NETWORK, OPTIMIZER)
    )
    bench.run(definition(images))
    failed = [r for r in bench.trainings() if r.combination == "tempered+Plain"]
    assert {r.tags.get("diverged") for r in failed} == {"true"}


def test_a_plugin_that_fails_in_trainers_only_is_named(
    bench: Bench, images: Path, tmp_path: Path
) -> None:
    where = (
        "import multiprocessing\nif multiprocessing.parent_process():\n    raise OSError('no')\n"
    )
    path = write(tmp_path, where, LOSS, OPTIMIZER, NETWORK)
    plugins.load(path)
    with pytest.raises(PluginError, match=rf"plug-in {path}, line 3: .*OSError: no"):
        bench.run(definition(images), inline=False)


def test_plugin_optimizers_train_alone(bench: Bench, images: Path, tmp_path: Path) -> None:
    plugins.load(write(tmp_path, LOSS, OPTIMIZER, NETWORK))
    optimizers = "sgd = { lr = { low = 0.01, high = 0.1 } }\nPlain = { lr = 0.1 }"
    text = definition(images, optimizers=optimizers).replace("Colours", "seed_cnn_relu")
    bench.run(text, group=4)
    together = {(r.tags["trained_together"], r.combination) for r in bench.records("trial")}
    assert {name for number, name in together if number == "1"} == {"mse+Plain", "tempered+Plain"}
    assert {name for number, name in together if number > "1"} == {"mse+sgd", "tempered+sgd"}


LOAD = """
import sys, mlflow, torch
model = mlflow.pytorch.load_model(sys.argv[1])
assert not [name for name in sys.modules if name.startswith(("cifar_exp.", "cifar_exp_plugin"))]
print(tuple(model(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape))
"""


@pytest.mark.chaos
def test_a_stored_model_loads_without_the_plugin(
    bench: Bench, images: Path, tmp_path: Path
) -> None:
    plugins.load(write(tmp_path, NETWORK, OPTIMIZER, LOSS))
    bench.run(definition(images))
    model = next(tmp_path.glob("mlruns/*/models/*/artifacts"))
    (tmp_path / "my.py").unlink()
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, str(model)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert loaded.stdout == "(2, 3)\n", loaded.stderr
