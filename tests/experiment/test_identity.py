"""Which keys of a definition are part of its identities, and that old identities do not change.

`identities.json` has the identities computed before a key was added. It is never regenerated: a
change in it would invalidate earlier results. Only identities of a component with changed results
(see its `results_version`) are replaced.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
import tomli_w

from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.components.settings import Later
from cifar_exp.experiment import Experiment, load, read
from cifar_exp.experiment.identity import definition_hash
from tests.definitions import SHIPPED

KEPT: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("identities.json").read_text()
)
FINGERPRINT = "f" * 64
DATA: Any = SimpleNamespace(fingerprint=FINGERPRINT)
EVERY_KEY = """
name = "all-keys"
dataset = "digits"
model = "lenet"
epochs = 7
seed = 3
precision = "bf16"
keep_models = "best"
compile = true
search = { trials = 9, sampler = "gp", pruner = "hyperband", batch_size = [16, 24] }
confirm = { seeds = 4 }
[losses]
soft = { type = "cross_entropy", label_smoothing = 0.1 }
focal = { gamma = { low = 0.5, high = 3.0 } }
[optimizers]
momentum = { type = "sgd", momentum = 0.9, nesterov = true, lr = { low = 1e-4, high = 0.3 } }
adamw = { lr = 0.01, weight_decay = { low = 1e-5, high = 1e-1 } }
"""


def identities(experiment: Experiment) -> dict[str, str]:
    return {c.name: experiment.identity(c, FINGERPRINT) for c in experiment.combinations()}


def on_any_machine(experiment: Experiment) -> Experiment:
    """Use float32 if the precision depends on the machine."""
    precision = "bf16" if experiment.precision == "bf16" else "fp32"
    return experiment.model_copy(update={"precision": precision})


COUNTS: dict[str, dict[str, dict[str, Any]]] = {
    "cifar10.toml": {
        "search": {"trials": 20, "studies": 1},
        "confirm": {"seeds": 5, "until": "fixed", "most": 20, "indifferent": 0.0},
    }
}
"""The counts of a definition when its hash was computed; they are not part of identities."""


def with_former_counts(name: str, experiment: Experiment) -> Experiment:
    tables = COUNTS.get(name, {})
    update = {key: getattr(experiment, key).model_copy(update=t) for key, t in tables.items()}
    return experiment.model_copy(update=update)


@pytest.mark.parametrize("name", KEPT)
def test_identities_do_not_change(name: str) -> None:
    files = {path.name: path for path in SHIPPED}
    found = on_any_machine(read(EVERY_KEY) if name == "every key" else load(files[name]))
    former = definition_hash(with_former_counts(name, found), DATA)
    assert {"definition": former, **identities(found)} == KEPT[name]


def changed(path: str, value: Any) -> Experiment:
    document = tomllib.loads(EVERY_KEY)
    table = document
    *tables, key = path.split(".")
    for name in tables:
        table = table[name]
    table[key] = value
    return read(tomli_w.dumps(document))


COUNTED = [
    ("model", "seed_cnn"),
    ("epochs", 8),
    ("seed", 4),
    ("precision", "fp32"),
    ("compile", False),
    ("augment", "flip"),
    ("ema", 0.99),
    ("search.sampler", "tpe"),
    ("search.pruner", "none"),
    ("search.batch_size", [16, 32]),
    ("search.batch_size", [24, 16]),
    ("search.at_once", 2),
    ("data_changes", {"subset": 0.5}),
    ("schedules", {"constant": {"warmup": 0.1}}),
    ("schedules", {"cosine": {"warmup": {"low": 0.0, "high": 0.1}}}),
]
NOT_COUNTED = [
    ("name", "another"),
    ("keep_models", "all"),
    ("search.trials", 10),
    ("search.at_once", 1),
    ("search.studies", 1),
    ("search.studies", 3),
    ("confirm.seeds", 5),
    ("confirm.until", "decided"),
    ("confirm.most", 30),
    ("confirm.indifferent", 0.5),
    ("losses.another", {"type": "mse"}),
    ("data_changes", {}),
    ("schedules", {"constant": {}}),
    ("schedules", {"none": {"type": "constant", "warmup": 0.0}}),
    ("losses.soft", {"type": "cross_entropy", "label_smoothing": 0.10}),
    ("losses.focal", {"type": "focal", "gamma": {"low": 0.5, "high": 3}}),
    ("search", {"batch_size": [16, 24], "pruner": "hyperband", "sampler": "gp"}),
]


@pytest.mark.parametrize(("path", "value"), COUNTED)
def test_a_key_that_changes_results_changes_every_identity(path: str, value: Any) -> None:
    before, after = identities(read(EVERY_KEY)), identities(changed(path, value))
    assert not set(before.values()) & set(after.values())


@pytest.mark.parametrize(("path", "value"), NOT_COUNTED)
def test_a_key_that_changes_no_result_changes_no_identity(path: str, value: Any) -> None:
    before = identities(read(EVERY_KEY))
    assert {name: identities(changed(path, value))[name] for name in before} == before


@pytest.mark.parametrize(
    ("path", "value", "touched"),
    [
        ("losses.soft", {"type": "mse"}, "soft+"),
        ("losses.soft.label_smoothing", 0.2, "soft+"),
        ("losses.focal.gamma.high", 4.0, "focal+"),
        ("optimizers.momentum.momentum", 0.8, "+momentum"),
        ("optimizers.momentum.lr.low", 1e-3, "+momentum"),
        ("optimizers.momentum.lr.log", False, "+momentum"),
        ("optimizers.momentum.lr", 0.1, "+momentum"),
        ("optimizers.adamw.lr", 0.02, "+adamw"),
        ("optimizers.adamw.weight_decay.low", 1e-4, "+adamw"),
    ],
)
def test_a_setting_changes_only_the_identities_of_its_combinations(
    path: str, value: Any, touched: str
) -> None:
    before, after = identities(read(EVERY_KEY)), identities(changed(path, value))
    assert {name for name in before if before[name] != after[name]} == {
        name for name in before if touched in name
    }


def test_the_place_of_human_labels_changes_no_identity() -> None:
    """Their content is in the fingerprint of the data."""
    noise = 'noise = {{ type = "cifar_n", labels = "worse", path = "{}" }}'
    text = EVERY_KEY.replace('dataset = "digits"', 'dataset = "cifar10"')
    assert text != EVERY_KEY
    one, other = (
        identities(read(f"{text}\n[data_changes]\n{noise.format(path)}"))
        for path in ("a.pt", "b.pt")
    )
    assert one == other != identities(read(text))


def test_settings_of_the_network_are_in_the_identity() -> None:
    plain = identities(changed("model", "mlp"))
    assert plain == identities(changed("model", {"type": "mlp", "width": 512}))
    wide = identities(changed("model", {"type": "mlp", "width": 64}))
    assert not set(plain.values()) & set(wide.values())


def test_further_schedules_change_no_identity_and_no_draw() -> None:
    """With several schedules combinations have other names, but the same results as before."""
    alone = read(EVERY_KEY).combinations()
    several = changed("schedules", {"constant": {}, "cosine": {}, "long": {"type": "cosine"}})
    by_name = {c.name: c for c in several.combinations()}
    assert len(by_name) == len({several.identity(c, FINGERPRINT) for c in by_name.values()}) == 12
    for combination in alone:
        now = by_name[f"{combination.name}+constant"]
        assert several.identity(now, FINGERPRINT) == read(EVERY_KEY).identity(
            combination, FINGERPRINT
        )
        assert now.key == combination.key == combination.name
    only, *_ = changed("schedules", {"long": {"type": "cosine"}}).combinations()
    among = by_name[f"{only.name}+long"]
    assert several.identity(only, FINGERPRINT) == several.identity(among, FINGERPRINT)
    assert only.key == among.key == among.name


def test_every_key_is_in_one_of_the_lists() -> None:
    tables = {"search": Experiment.model_fields["search"], "confirm": None}
    keys = {key for key in Experiment.model_fields if key not in (*tables, "losses", "optimizers")}
    experiment = read(EVERY_KEY)
    keys |= {f"search.{key}" for key in type(experiment.search).model_fields}
    keys |= {f"confirm.{key}" for key in type(experiment.confirm).model_fields}
    listed = {path for path, _ in (*COUNTED, *NOT_COUNTED)} | {
        "dataset"
    }  # counted by its fingerprint
    assert keys == {path for path in listed if path != "search" and not path.startswith("losses.")}


def test_all_identities_differ() -> None:
    every = [identities(read(EVERY_KEY)), *(identities(changed(*each)) for each in COUNTED)]
    assert len({identity for each in every for identity in each.values()}) == 4 * len(every)


def test_names_that_differ_only_in_case_are_distinct() -> None:
    twins = identities(changed("losses.SOFT", {"type": "cross_entropy", "label_smoothing": 0.1}))
    assert twins["soft+adamw"] != twins["SOFT+adamw"]


def test_the_data_is_part_of_every_identity() -> None:
    experiment = read(EVERY_KEY)
    for combination in experiment.combinations():
        one, other = (experiment.identity(combination, data * 64) for data in "ab")
        assert one != other


@pytest.mark.parametrize("name", sorted(n for n in AUGMENTATIONS if AUGMENTATIONS[n].version > 1))
def test_an_augmentation_whose_results_have_changed_has_another_identity(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = identities(changed("augment", name))
    monkeypatch.setattr(AUGMENTATIONS[name], "version", 1)
    assert not set(now.values()) & set(identities(changed("augment", name)).values())


MIXED = EVERY_KEY.replace("focal = { gamma = { low = 0.5, high = 3.0 } }", "")


def mixed(table: str) -> dict[str, str]:
    return identities(read(f"augment = {table}\n{MIXED}"))


def test_the_settings_of_an_augmentation_are_part_of_every_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = [
        '"none"',
        '"mixup"',
        '"cutmix"',
        '{ type = "mixup", alpha = 0.2 }',
        '{ type = "mixup", base = "flip" }',
        '{ type = "cutmix", probability = 1.0 }',
    ]
    found = {mixed(table)["soft+adamw"] for table in tables}
    assert len(found) == len(tables)
    assert mixed('{ type = "mixup", alpha = 1.0, base = "none" }') == mixed('"mixup"')
    monkeypatch.setattr(AUGMENTATIONS["flip"], "version", 9)
    assert mixed('{ type = "mixup", base = "flip" }')["soft+adamw"] not in found


def test_a_loss_whose_results_have_changed_has_another_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = identities(changed("losses.soft", {"type": "mse_rescaled"}))
    monkeypatch.setattr(LOSSES["mse_rescaled"], "results_version", lambda _: 1)
    before = identities(changed("losses.soft", {"type": "mse_rescaled"}))
    assert {name for name in now if now[name] != before[name]} == {"soft+momentum", "soft+adamw"}


@pytest.mark.parametrize("name", ["mse", "huber", "l1"])
def test_a_square_loss_on_logits_has_other_results_than_before(name: str) -> None:
    versions = [LOSSES[name].results_version({"compare": c}) for c in ("probabilities", "logits")]
    assert versions == ([1, 1] if name == "l1" else [1, 2])


def test_a_new_setting_of_a_component_counts_unless_it_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Extended(CrossEntropy):
        temperature: Annotated[float, Later()] = 1.0

    before = identities(read(EVERY_KEY))
    monkeypatch.setitem(LOSSES, "cross_entropy", Extended)
    assert identities(read(EVERY_KEY)) == before
    after = identities(changed("losses.soft.temperature", 2.0))
    assert {name for name in before if before[name] != after[name]} == {
        "soft+momentum",
        "soft+adamw",
    }
