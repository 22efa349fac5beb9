"""Definitions for tests: the shipped ones, a small one to modify, and a table of wrong ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SHIPPED = sorted((Path(__file__).parents[1] / "experiments").glob("*.toml"))
MISSING = object()
"""The value of a key that is to be removed."""
RANGE = {"low": 1e-3, "high": 1.0}
SMALL: dict[str, Any] = {
    "name": "small",
    "dataset": "digits",
    "model": "seed_cnn",
    "epochs": 2,
    "losses": {"mse": {}, "focal": {"gamma": 1.5}},
    "optimizers": {"sgd": {"lr": RANGE}, "adamw": {"lr": 0.01}},
}


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the small definition with changes, keyed by paths such as `search/trials`."""
    document = copy.deepcopy(SMALL)
    for path, value in changes.items():
        *tables, name = path.split("/")
        table = document
        for key in tables:
            table = table.setdefault(key, {})
        if value is MISSING:
            del table[name]
        else:
            table[name] = value
    return document


@dataclass(frozen=True)
class Wrong:
    """Changes that make the small definition wrong, and the expected message."""

    changes: Mapping[str, Any]
    says: tuple[str, ...]
    schema_sees: bool = True
    """Whether a JSON Schema can detect it."""


NUMBER = "should be a number"
WHOLE = "should be a whole number"
LR = "optimizers/sgd/lr"
SIZES = "search/batch_size"


def _lr(value: Any, *says: str, schema_sees: bool = True) -> Wrong:
    return Wrong({LR: value}, ("optimizers.sgd.lr", *says), schema_sees)


def _sizes(value: Any, *says: str, schema_sees: bool = True) -> Wrong:
    return Wrong({SIZES: value}, ("search.batch_size", *says), schema_sees)


WRONG: dict[str, Wrong] = {
    # unknown or reserved names and keys
    "name of single trainings": Wrong(
        {"name": "train"}, ('name: "train" is reserved for single trainings',), schema_sees=False
    ),
    "unknown key": Wrong({"epoch": 3}, ("epoch: unknown name", 'did you mean "epochs"?')),
    "unknown table": Wrong({"tuning": {}}, ("tuning: unknown name", "known are:", "search")),
    "unknown search key": Wrong(
        {"search/trails": 3}, ("search.trails: unknown name", 'did you mean "trials"?')
    ),
    "unknown dataset": Wrong({"dataset": "digts"}, ("dataset", 'did you mean "digits"?')),
    "unknown model": Wrong({"model": "seed_cn"}, ("model:", 'did you mean "seed_cnn"?')),
    "model of two lines": Wrong({"model": "a\nb"}, ('model: unknown model "a\\nb"',)),
    "loss type of two lines": Wrong({"losses/a": {"type": "a\nb"}}, ("losses.a.type",)),
    "unknown loss": Wrong({"losses/mes": {}}, ("losses.mes", 'did you mean "mse"?')),
    "unknown loss type": Wrong(
        {"losses/a": {"type": "croos_entropy"}}, ("losses.a.type", '"cross_entropy"?')
    ),
    "unknown optimizer": Wrong(
        {"optimizers/sdg": {"lr": 0.1}}, ("optimizers.sdg", 'did you mean "sgd"?')
    ),
    "far from any optimizer": Wrong(
        {"optimizers/zzz": {"lr": 0.1}}, ("optimizers.zzz", "known are: adadelta, ", ", sgd")
    ),
    "unknown loss setting": Wrong(
        {"losses/focal/gama": 2.0}, ("losses.focal.gama: unknown name", '"gamma"?')
    ),
    "unknown optimizer setting": Wrong(
        {"optimizers/sgd/momentun": 0.9}, ("optimizers.sgd.momentun", '"momentum"?')
    ),
    "setting of a loss without any": Wrong(
        {"losses/brier": {"gamma": 1.0}}, ("losses.brier.gamma", "known are: class_weights")
    ),
    "unknown sampler": Wrong(
        {"search/sampler": "bayes"},
        ('search.sampler: unknown sampler "bayes"; known are: gp, qmc, random, tpe',),
    ),
    "unknown pruner": Wrong(
        {"search/pruner": "asha"},
        ('search.pruner: unknown pruner "asha"; known are: hyperband, median, none',),
    ),
    "unknown precision": Wrong(
        {"precision": "fp16"}, ("precision", "'fp32', 'tf32', 'bf16' or 'auto'")
    ),
    "unknown keep_models": Wrong({"keep_models": "none"}, ("keep_models", "'all' or 'best'")),
    "unknown dataset setting": Wrong(
        {"dataset": {"type": "folder", "path": "x", "sise": 3}}, ("dataset.sise", '"size"?')
    ),
    "unknown augmentation": Wrong(
        {"augment": "flop"}, ('augment: unknown augmentation "flop"; did you mean "flip"?',)
    ),
    "unknown setting of an augmentation": Wrong(
        {"augment": {"type": "mixup", "alhpa": 1.0}},
        ('augment.alhpa: unknown name; did you mean "alpha"?',),
    ),
    "unknown base of an augmentation": Wrong(
        {"augment": {"type": "mixup", "base": "mixup"}},
        ('augment.base: unknown augmentation "mixup"; known are: crop_flip, deepobs, flip, none',),
        schema_sees=False,
    ),
    "loss without a form for mixed labels": Wrong(
        {"augment": "cutmix", "losses/focal": {}},
        ("losses.focal: focal has no form for mixed labels, these have: ", "(cutmix)"),
        schema_sees=False,
    ),
    "class weights of mixed labels": Wrong(
        {"augment": "mixup", "losses": {"mse": {"class_weights": "balanced"}}},
        ("losses.mse: class_weights have no form for mixed labels (mixup)",),
        schema_sees=False,
    ),
    "class weights by an unknown name": Wrong(
        {"losses/mse/class_weights": "equal"},
        ('losses.mse.class_weights: should be "none", "balanced" or a list of a number above 0',),
    ),
    # missing keys
    **{
        f"no {key}": Wrong({key: MISSING}, (f"{key}: is missing",))
        for key in ("name", "dataset", "model", "epochs", "losses", "optimizers")
    },
    "no losses in the table": Wrong({"losses": {}}, ("losses:", "have at least 1")),
    "no optimizers in the table": Wrong({"optimizers": {}}, ("optimizers:", "have at least 1")),
    "no lr": Wrong({"optimizers/adam": {}}, ("optimizers.adam.lr: the learning rate is missing",)),
    "path of own images": Wrong(
        {"dataset": {"type": "digits", "path": "x"}},
        ("dataset.path: the data set 'digits' brings its own images; leave it out",),
    ),
    "folder without path": Wrong({"dataset": "folder"}, ("dataset.path: is missing",)),
    "dataset without type": Wrong({"dataset": {"path": "x"}}, ("dataset:", "`type`")),
    "range without high": _lr({"low": 0.1}, ".high: is missing"),
    "range without low": _lr({"high": 0.1}, ".low: is missing"),
    # types
    "true for epochs": Wrong({"epochs": True}, ("epochs", WHOLE)),
    "20.0 epochs": Wrong({"epochs": 20.0}, ("epochs", WHOLE), schema_sees=False),
    "text for epochs": Wrong({"epochs": "20"}, ("epochs", WHOLE)),
    "no epochs at all": Wrong({"epochs": 0}, ("epochs", "should be at least 1")),
    "half an epoch": Wrong({"epochs": 1.5}, ("epochs", WHOLE)),
    "no trials at all": Wrong({"search/trials": 0}, ("search.trials", "should be at least 1")),
    "trials beyond all bounds": Wrong(
        {"search/trials": 10**6 + 1}, ("search.trials: should be at most 1000000",)
    ),
    "true for trials": Wrong({"search/trials": True}, ("search.trials", WHOLE)),
    "no seeds at all": Wrong({"confirm/seeds": 0}, ("confirm.seeds", "should be at least 1")),
    "negative seed": Wrong({"seed": -1}, ("seed", "should be at least 0")),
    "seed of more than 32 bits": Wrong({"seed": 2**32}, ("seed", "less than 4294967296")),
    "number for name": Wrong({"name": 3}, ("name", "a text in quotes")),
    "number for model": Wrong({"model": 3}, ("model", "a name, or a table")),
    "number for dataset": Wrong({"dataset": 3}, ("dataset", "a name, or a table")),
    "list for dataset": Wrong({"dataset": ["digits"]}, ("dataset", "a name, or a table")),
    "number for path": Wrong(
        {"dataset": {"type": "folder", "path": 3}}, ("dataset.path: should be a path",)
    ),
    **{
        f"{path[:2]!r} for the path of {name}": Wrong(
            {"dataset": {"type": name, "path": path}}, (f"dataset.path: {says}",), schema_sees=False
        )
        for name in ("folder", "cifar10", "cifar100")
        for path, says in (
            ("a\0b", "should be a path without null characters"),
            ("~nobody-here/images", "begins with ~, an unknown home folder"),
        )
    },
    "list for dataset type": Wrong({"dataset": {"type": ["digits"]}}, ("dataset.type: unknown",)),
    "list for loss type": Wrong({"losses/a": {"type": ["mse"]}}, ("losses.a.type: unknown",)),
    "table for loss type": Wrong({"losses/a": {"type": {"a": 1}}}, ("losses.a.type: unknown",)),
    "number for search": Wrong({"search": 3}, ("search: should be a table",)),
    "number for losses": Wrong({"losses": 3}, ("losses: should be a table",)),
    "list for losses": Wrong({"losses": ["mse"]}, ("losses: should be a table",)),
    "list for a loss": Wrong({"losses/mse": []}, ("losses.mse: should be a table",)),
    "number for an optimizer": Wrong({"optimizers/sgd": 0.1}, ("optimizers.sgd: should be a",)),
    "text for a setting": Wrong({"losses/focal/gamma": "2"}, ("losses.focal.gamma", NUMBER)),
    "true for a setting": Wrong({"losses/focal/gamma": True}, ("losses.focal.gamma", NUMBER)),
    "list for a setting": Wrong({"losses/focal/gamma": [2.0]}, ("losses.focal.gamma", NUMBER)),
    "number for a switch": Wrong({"optimizers/sgd/nesterov": 1}, (".nesterov", "true or false")),
    "range for a switch": Wrong({"optimizers/sgd/nesterov": RANGE}, (".nesterov", "true or false")),
    "range for a word": Wrong({"losses/mse/compare": RANGE}, (".compare", "'logits'")),
    "setting out of bounds": Wrong({"losses/focal/gamma": -1.0}, (".gamma", "at least 0")),
    "infinite setting": Wrong({"losses/focal/gamma": math.inf}, (".gamma",), schema_sees=False),
    "settings that do not fit": Wrong(
        {"optimizers/sgd/nesterov": True},
        (".sgd: nesterov needs momentum above 0",),
        schema_sees=False,
    ),
    "fraction among whole numbers": Wrong(
        {"optimizers/muon": {"lr": 0.1, "ns_steps": 2.5}}, (".ns_steps", WHOLE)
    ),
    # learning rates and ranges
    "true for lr": _lr(True, NUMBER),
    "text for lr": _lr("1e-3", NUMBER),
    "list for lr": _lr([0.1, 0.2], NUMBER),
    "lr 0": _lr(0, "greater than 0"),
    "negative lr": _lr(-0.1, "greater than 0"),
    "infinite lr": _lr(math.inf, "finite", schema_sees=False),
    "lr that is not a number": _lr(math.nan, schema_sees=False),
    "low above high": _lr({"low": 1.0, "high": 0.1}, "less than high", schema_sees=False),
    "low as high": _lr({"low": 0.1, "high": 0.1}, "less than high", schema_sees=False),
    "log range from 0": _lr({"low": 0, "high": 1.0}, "above 0 on a log scale"),
    "linear lr range from 0": _lr({"low": 0.0, "high": 1.0, "log": False}, "greater than 0"),
    "linear lr range below 0": _lr({"low": -1.0, "high": 1.0, "log": False}, "greater than 0"),
    "endless range": _lr({"low": 0.1, "high": math.inf}, NUMBER, schema_sees=False),
    "unknown key of a range": _lr({"low": 0.1, "hihg": 1.0, "high": 1.0}, '"high"?'),
    "text in a range": _lr({"low": "0.1", "high": 1.0}, ".low", NUMBER),
    "true in a range": _lr({"low": 0.1, "high": True}, ".high", NUMBER),
    "log as a number": _lr({"low": 0.1, "high": 1.0, "log": 1}, ".log", "true or false"),
    "log range of a setting from 0": Wrong(
        {"losses/focal/gamma": {"low": 0.0, "high": 2.0, "log": True}},
        ("losses.focal.gamma", "above 0 on a log scale"),
        schema_sees=False,
    ),
    "range that leaves the bounds": Wrong(
        {"optimizers/sgd/momentum": {"low": 0.5, "high": 1.0}}, (".momentum", "less than 1")
    ),
    "range of fractions for whole numbers": Wrong(
        {"optimizers/muon": {"lr": 0.1, "ns_steps": {"low": 2, "high": 4.5}}}, (".ns_steps", WHOLE)
    ),
    # batch sizes
    "batch size 0": _sizes([32, 0], ".1", "should be at least 1"),
    "negative batch size": _sizes([-32], ".0", "should be at least 1"),
    "fraction of an image": _sizes([2.5], ".0", WHOLE),
    "batch size 32.0": _sizes([32.0], ".0", WHOLE, schema_sees=False),
    "true for a batch size": _sizes([True], ".0", WHOLE),
    "text for a batch size": _sizes(["32"], ".0", WHOLE),
    "batch size twice": _sizes([32, 64, 32], "twice"),
    "no batch size": _sizes([], "at least one"),
    "batch size without a list": _sizes(32, "should be a list"),
    "table for batch sizes": _sizes({"low": 16}, "should be a list"),
    # names that cannot be part of a path, an address or a row of a ranking
    **{
        f"experiment named {name[:9]!r}": Wrong({"name": name}, ("name: should",))
        for name in ("", "a/b", "..", "a+b", "-a", "a b", "\N{BUG}", "é", "x" * 300, "a\0")
    },
    "experiment named by two lines": Wrong({"name": "a\n"}, ("name: should",), schema_sees=False),
    **{
        f"{kind} named {name[:9]!r}": Wrong(
            {table: {name: {"type": kind, "lr": 0.1} if kind == "sgd" else {"type": kind}}},
            (f"{table}.", ".name: should"),
        )
        for table, kind in (("losses", "mse"), ("optimizers", "sgd"))
        for name in ("", "a/b", "..", "a+b", "a\nb", "\N{BUG}", "x" * 300)
    },
}
every_wrong_one = pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
every_shipped_one = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
