"""Compare the effect of bfloat16 on accuracy with the spread over seeds, for several losses.

    python -m benchmarks.precision --data-dir DIR

Each loss is trained with the same settings in float32 and in bfloat16, with the same seeds, that
is, the same initial weights and the same order of the images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.table import Table
from scipy import stats

from benchmarks.figure import console_for_tables
from cifar_exp.components import datasets
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.precision import Precision, resolve
from cifar_exp.experiment import DatasetVariant, TrialConfig
from cifar_exp.experiment.variant import read_dataset
from cifar_exp.training import evaluation, loop, untrained
from cifar_exp.training.hardware import prepare_process

NETWORK = "seed_cnn_relu"
COMPARED = ("cross_entropy", "mse", "focal")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
CONFIDENCE = 0.95

Training = tuple[str, Precision, int]
"""Loss, precision and seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One loss in both precisions; accuracies are between 0 and 1, over the same seeds."""

    loss: str
    fp32: float
    """Mean test accuracy."""
    bf16: float
    difference: float
    """Mean difference bfloat16 minus float32, paired by seed."""
    low: float
    """Lower bound of its 95 % t interval."""
    high: float
    spread: float
    """Sample standard deviation over the seeds in float32 (n - 1)."""

    @property
    def within_spread(self) -> bool:
        """Whether the difference is not larger than the spread over seeds."""
        return abs(self.difference) <= self.spread


def judge(loss: str, fp32: Sequence[float], bf16: Sequence[float]) -> Verdict:
    """Compare the test accuracies of a loss in both precisions, paired by seed.

    Source: paired t interval, d ± t(0.975, n - 1) s_d / sqrt(n).
    """
    paired = stats.ttest_rel(bf16, fp32).confidence_interval(CONFIDENCE)
    return Verdict(
        loss=loss,
        fp32=fmean(fp32),
        bf16=fmean(bf16),
        difference=fmean(b - a for a, b in zip(fp32, bf16, strict=True)),
        low=float(paired.low),
        high=float(paired.high),
        spread=stdev(fp32),
    )


def study(
    choice: DatasetVariant, *, epochs: int, batch_size: int, lr: float, seeds: int, processes: int
) -> list[Verdict]:
    """Train every loss in both precisions with every seed, and compare them.

    Raises:
        Diverged: A training diverged; another learning rate is needed.
        DataError: The data is missing or unsuitable.
    """
    path = datasets.load(choice.choice).path
    trainings = list(itertools.product(COMPARED, PRECISIONS, range(seeds)))
    configs = [_config(*one, epochs=epochs, batch_size=batch_size, lr=lr) for one in trainings]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, prepare_process, (1,)) as pool:
        scored = pool.map(accuracy_on_test, configs, itertools.repeat(path))
        accuracies = dict(zip(trainings, scored, strict=True))
    return [_judge(loss, accuracies, seeds) for loss in COMPARED]


def accuracy_on_test(config: TrialConfig, data_path: Path) -> float:
    """Train a network; return its accuracy on the test set."""
    data = datasets.open_dataset(data_path)
    model = untrained.build_model(config, data)
    for _ in loop.train(model, config, data):
        pass
    tested = evaluation.evaluate(model, config.loss_settings, data.test, config.precision)
    return tested.scores.accuracy


def _judge(loss: str, accuracies: Mapping[Training, float], seeds: int) -> Verdict:
    fp32, bf16 = ([accuracies[loss, p, seed] for seed in range(seeds)] for p in PRECISIONS)
    return judge(loss, fp32, bf16)


def _config(
    loss: str, precision: Precision, seed: int, *, epochs: int, batch_size: int, lr: float
) -> TrialConfig:
    return TrialConfig(
        model=read_model(NETWORK),
        loss=loss,
        loss_settings=LOSSES[loss](),
        optimizer="adam",  # hardly depends on the scale of the loss: one learning rate for all
        optimizer_settings=OPTIMIZERS["adam"](),
        lr=lr,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        precision=precision,
    )


def show(verdicts: Sequence[Verdict]) -> None:
    """Print the results in percent."""
    heads = ("loss", "fp32", "bf16", "difference", "95 % interval", "seed spread", "difference is")
    table = Table(*heads)
    for v in verdicts:
        fp32, bf16, spread = (f"{100 * share:.2f} %" for share in (v.fp32, v.bf16, v.spread))
        difference, low, high = (f"{100 * d:+.2f}" for d in (v.difference, v.low, v.high))
        verdict = "within the seed spread" if v.within_spread else "beyond the seed spread"
        table.add_row(v.loss, fp32, bf16, difference, f"{low} to {high}", spread, verdict)
    console = console_for_tables()
    console.print(table)
    if resolve("auto") != "bf16":
        console.print("bfloat16 is emulated on this machine.")


def _options() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data-dir", help="a folder of images: train/<class>/ and test/<class>/")
    data.add_argument("--dataset", help='a name, or JSON such as {"type": "cifar10"}')
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--processes", type=int, default=2, help="number of parallel processes, of one thread each"
    )
    return vars(parser.parse_args())


def _dataset(dataset: str | None, data_dir: str | None) -> DatasetVariant:
    if data_dir is not None:
        return read_dataset({"type": "folder", "path": data_dir})
    assert dataset is not None
    return read_dataset(json.loads(dataset) if dataset.startswith("{") else dataset)


def main() -> None:
    """Read the options, train, and print the results."""
    options = _options()
    choice = _dataset(options.pop("dataset"), options.pop("data_dir"))
    show(study(choice, **options))


if __name__ == "__main__":
    main()
