"""A single training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cifar_exp.api.counts import check_counts
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.plugins.registry import with_installed
from cifar_exp.components.validation import quoted
from cifar_exp.errors import BadInput, TrainingFailed
from cifar_exp.experiment import Experiment, single_definition
from cifar_exp.experiment.keys import Component, Table
from cifar_exp.experiment.single import as_arguments
from cifar_exp.sweep.prepare import prepare
from cifar_exp.sweep.single import Epochs, training_of
from cifar_exp.system import paths, temporary
from cifar_exp.system.cores import available_cores
from cifar_exp.training import trainer
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.loop import EpochMetrics


def train(
    *,
    dataset: Component = "digits",
    model: Component = "seed_cnn_relu",
    loss: Component = "cross_entropy",
    optimizer: Component = "sgd",
    schedule: Component | None = None,
    lr: float = 0.01,
    batch_size: int = 64,
    epochs: int = 20,
    seed: int = 0,
    precision: str = "fp32",
    augment: Component = "none",
    ema: float | None = None,
    compile: bool = False,
    data_changes: Table | None = None,
    threads: int | None = None,
) -> Iterator[EpochMetrics]:
    """Train one network in this process, and yield the metrics of each epoch.

    It trains as `cifar-exp train` does, but records nothing and keeps no network. The arguments are
    checked and the data is loaded at once; each epoch is trained when it is asked for, and a loop
    that ends early ends the training.

    Args:
        dataset: A name or, like other components, a table with its `type` and settings.
        model: The network.
        loss: The loss.
        optimizer: The optimizer, without its learning rate.
        schedule: The schedule of the learning rate; default: constant.
        lr: Learning rate.
        batch_size: Images in a batch.
        epochs: Passes over the training split.
        seed: Seed of weights, order of the data and augmentation.
        precision: fp32, tf32, bf16 or auto.
        augment: The augmentation of training images.
        ema: Decay of a moving average of the weights.
        compile: Whether to use torch.compile.
        data_changes: Label noise, class imbalance, a share of the images.
        threads: CPU threads; default: all cores.

    Raises:
        BadInput: An argument is invalid.
        Unavailable: The data is missing or cannot be read.
        TrainingFailed: The training diverged or failed.

    Example:
        ```python
        for epoch in cifar_exp.train(optimizer={"type": "sgd", "momentum": 0.9}, epochs=3):
            print(epoch.epoch, epoch.train_loss, epoch.val.accuracy)
        ```
    """
    check_counts(threads=threads)
    components = {"loss": loss, "optimizer": optimizer, "schedule": schedule}
    split = {kind: _split(kind, component) for kind, component in components.items()}
    options = {
        **{kind: name for kind, (name, _) in split.items()},
        **{"dataset": dataset, "model": model, "augment": augment},
        **{"lr": lr, "batch_size": batch_size, "epochs": epochs, "seed": seed},
        **{"precision": precision, "ema": ema, "compile": compile, "data_changes": data_changes},
    }
    settings = {kind: table for kind, (_, table) in split.items()}
    experiment = with_installed(lambda: single_definition(options, settings, as_arguments))
    paths.require_home()
    data = prepare(experiment)
    return _epochs(experiment, data, threads or available_cores())


def _epochs(experiment: Experiment, data: Dataset, threads: int) -> Iterator[EpochMetrics]:
    prepare_process(threads)
    with temporary.temporary_folder() as folder:
        epochs = Epochs(trainer.train(training_of(experiment), data, folder))
        yield from epochs
    if epochs.outcome.state == "FAIL":
        raise TrainingFailed(epochs.outcome.reason)


def _split(kind: str, component: Component | None) -> tuple[Any, Mapping[str, Any]]:
    """Return the name of a component and its settings."""
    match component:
        case Mapping():
            table = dict(component)
            if not isinstance(table.get("type"), str):
                raise BadInput(f"{kind}: should be a name, or a table with its `type`")
            return table.pop("type"), table
        case str() | None:
            return component, {}
    raise BadInput(f"{kind}: should be a name, not {quoted(repr(component))}")
