"""The command line that repeats the best trial of a combination."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cifar_exp.experiment import Experiment
from cifar_exp.experiment.named import plugins_used

if TYPE_CHECKING:
    from cifar_exp.comparison import Row


def train_command(experiment: Experiment, row: Row) -> list[str]:
    """Return the `cifar-exp train` command with the settings of a row of a ranking, as words."""
    [combination] = [c for c in experiment.combinations() if c.name == row.combination]
    texts = {"lr": str(row.lr), "batch_size": str(row.batch_size), **row.settings}
    seed = experiment.study_seed(row.study)
    config = experiment.trial(combination, experiment.parse(combination, texts), seed)
    dataset = experiment.dataset.choice.model_dump(exclude_defaults=True)
    data_changes = experiment.data_changes
    changes = (
        {} if data_changes is None else data_changes.model_dump(mode="json", exclude_none=True)
    )
    options = {
        "dataset": experiment.dataset.type,
        **({"data-dir": dataset.pop("path")} if "path" in dataset else {}),
        "model": config.model.type,
        "loss": combination.loss.type,
        "optimizer": combination.optimizer.type,
        **({"schedule": combination.schedule.type} if config.schedule else {}),
        "lr": config.lr,
        "batch-size": config.batch_size,
        "epochs": config.epochs,
        "seed": config.seed,
        "precision": config.precision,
        **({} if config.augment.name == "none" else {"augment": config.augment.name}),
        **({} if config.ema is None else {"ema": config.ema}),
        **({} if row.threads is None else {"threads": row.threads}),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [
        "cifar-exp",
        "train",
        *(word for plugin in plugins_used(experiment) for word in plugin.options),
        *words,
        *(["--compile"] if config.compile else []),
        *_setting_options("dataset", dataset),
        *_setting_options("model", config.model.changed()),
        *_setting_options("data_changes", changes),
        *_setting_options("augment", config.augment.model_dump(exclude_defaults=True)),
        *_setting_options("loss", config.loss_settings.model_dump(exclude_defaults=True)),
        *_setting_options("optimizer", config.optimizer_settings.model_dump(exclude_defaults=True)),
        *_setting_options("schedule", config.schedule_settings.model_dump(exclude_defaults=True)),
    ]


def _setting_options(component: str, changed: Mapping[str, Any]) -> list[str]:
    words = (("-s", f"{component}.{name}={_toml(value)}") for name, value in changed.items())
    return [word for pair in words for word in pair]


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{','.join(map(str, value))}]"
        case dict():
            inner = ", ".join(
                f"{json.dumps(name)} = {json.dumps(each) if isinstance(each, str) else _toml(each)}"
                for name, each in value.items()
            )
            return f"{{ {inner} }}"
    return str(value)
