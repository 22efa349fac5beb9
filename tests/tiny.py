"""Tiny inputs: a training on them takes milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cifar_exp.components import datasets
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.metrics import METRICS
from cifar_exp.components.metrics.scores import Scores
from cifar_exp.experiment import Experiment, TrialConfig, read

COLORS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}


def write_images(root: Path, per_class: int = 20, size: int = 8) -> Path:
    """Write noisy images of three colours into `train/` and `test/`."""
    rng = np.random.default_rng(0)
    for split, count in (("train", per_class), ("test", per_class // 2)):
        for name, color in COLORS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                noise = rng.normal(0, 60, (size, size, 3))
                pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return root


def dataset(root: Path) -> Dataset:
    """Load the images that `write_images` wrote."""
    return datasets.load(datasets.Folder(path=root))


def definition(root: Path, **changes: str) -> str:
    """Return the definition of a tiny sweep; `changes` replace whole parts of it."""
    parts = {
        "name": "tiny",
        "epochs": "2",
        "top": "",
        "search": 'trials = 3\nsampler = "random"\npruner = "none"\nbatch_size = [8, 16]',
        "seeds": "2",
        "losses": "cross_entropy = {}\nmse = {}",
        "optimizers": "sgd = { lr = { low = 0.01, high = 1.0 } }",
        "schedules": "",
        **changes,
    }
    return f"""
name = "{parts["name"]}"
dataset = {{ type = "folder", path = "{root}" }}
model = "seed_cnn_relu"
epochs = {parts["epochs"]}
{parts["top"]}
[search]
{parts["search"]}
[confirm]
seeds = {parts["seeds"]}
[losses]
{parts["losses"]}
[optimizers]
{parts["optimizers"]}
{f"[schedules]{chr(10)}{parts['schedules']}" if parts["schedules"] else ""}
"""


def experiment(root: Path, **changes: str) -> Experiment:
    """Read the definition of a tiny sweep."""
    return read(definition(root, **changes))


def trial_config(
    root: Path, *, lr: float = 0.05, batch_size: int = 8, seed: int = 0, **changes: str
) -> TrialConfig:
    """Return one training of the tiny sweep's first combination."""
    tiny = experiment(root, **changes)
    return tiny.trial(tiny.combinations()[0], {"lr": lr, "batch_size": batch_size}, seed)


def scores(**changes: float) -> Scores:
    """Return artificial scores."""
    return Scores({**dict.fromkeys(METRICS, 0.5), **changes})
