"""Definitions: how they are read and rejected, and what they imply."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.components.settings import Settings
from cifar_exp.components.validation import DefinitionError, Options
from cifar_exp.experiment import (
    Choices,
    Combination,
    Experiment,
    Override,
    Range,
    definition_text,
    load,
    num_settings,
    read,
    read_document,
    single_definition,
)
from tests.definitions import (
    MISSING,
    RANGE,
    SHIPPED,
    SMALL,
    Wrong,
    changed,
    every_shipped_one,
    every_wrong_one,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(tomli_w.dumps(SMALL), encoding="utf-8")
    return path


def experiment(**changes: Any) -> Experiment:
    return read_document(changed({key.replace("__", "/"): changes[key] for key in changes}), "a")


def complaints(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read(text, "a.toml")
    return str(caught.value).splitlines()


def only(definition: Experiment) -> Combination:
    [combination] = definition.combinations()
    return combination


# The shipped definitions.


def test_definitions_are_shipped() -> None:
    assert {"quickstart", "cifar10"} <= {path.stem for path in SHIPPED}


@every_shipped_one
def test_shipped_definitions_load(path: Path) -> None:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    definition = load(path)
    assert definition.name == document["name"] == path.stem
    assert list(definition.losses) == list(document["losses"])
    assert list(definition.optimizers) == list(document["optimizers"])
    assert definition.search.trials == document["search"]["trials"]


@every_shipped_one
def test_shipped_definitions_give_trainings(path: Path) -> None:
    definition = load(path)
    for combination in definition.combinations():
        params = {name: _any_of(values) for name, values in definition.space(combination).items()}
        config = definition.trial(combination, params, definition.seed)
        assert config.lr == params["lr"]
        assert config.batch_size in definition.search.batch_size


def _any_of(values: Range | Choices) -> Any:
    return values.values[0] if isinstance(values, Choices) else values.high


# Rejected definitions.


@every_wrong_one
def test_refuses(wrong: Wrong) -> None:
    lines = complaints(tomli_w.dumps(changed(wrong.changes)))
    assert len(lines) == 1
    assert lines[0].startswith("a.toml: ")
    for words in wrong.says:
        assert words in lines[0]


def test_a_reserved_name_is_reported_with_the_other_problems() -> None:
    assert complaints(tomli_w.dumps(changed({"name": "train", "epochs": 0}))) == [
        'a.toml: name: "train" is reserved for single trainings',
        "a.toml: epochs: should be at least 1",
    ]


def test_all_problems_are_reported_each_on_a_line_with_file_and_key_path() -> None:
    lines = complaints("""
        name = "a/b"
        dataset = "digts"
        modell = "seed_cnn"
        epochs = 2.0
        search = { trials = 0, sampler = "tree", batch_size = [32, 0] }
        confirm.seeds = "5"
        losses = { mse = { compare = "x" }, focl = {}, bce = { a = 1 } }
        optimizers = { sgd = {}, adamw = { lr = { low = 1, high = true }, beta1 = 1.5 } }
    """)
    assert sorted(line.split(": ")[1] for line in lines) == [
        "confirm.seeds",
        "dataset.type",
        "epochs",
        "losses.bce.a",
        "losses.focl.type",
        "losses.mse.compare",
        "modell",
        "name",
        "optimizers.adamw.beta1",
        "optimizers.adamw.lr.high",
        "optimizers.sgd.lr",
        "search.batch_size.1",
        "search.sampler",
        "search.trials",
    ]
    assert all(line.startswith("a.toml: ") for line in lines)


PLACE, DEEP, UTF_8 = "(at ", "its values are nested too deeply", "a definition is UTF-8 text"
NO_TOML: dict[str, tuple[str | bytes, str]] = {
    "no value": ("name =", PLACE),
    "no key": ("= 3", PLACE),
    "a key twice": ("name = 'a'\nname = 'b'\n", "Cannot overwrite a value (at line 2, column 11)"),
    "a key twice in a table": ("[losses]\nmse = {}\nmse = {}", PLACE),
    "a table twice": ("[losses]\n[losses]", PLACE),
    "half a table": ("[losses\n", PLACE),
    "a text of two lines": ('name = "a\nb"', PLACE),
    "half a number": ("epochs = 1e", PLACE),
    "an octal number": ("epochs = 010", PLACE),
    "a long number": ("lr = 1" + 5000 * "0", "4300 digits"),
    "open lists": ("values = " + 2000 * "[", DEEP),
    "deep lists": ("values = " + 2000 * "[" + 2000 * "]", DEEP),
    "null characters": ("\0" * 100, PLACE),
    "YAML": ("name: a\nlosses: [mse]\n", PLACE),
    "JSON": ('{"name": "a"}', PLACE),
    "Latin 1": ('name = "é"'.encode("latin-1"), UTF_8),
    "UTF-16": ('name = "a"'.encode("utf-16"), UTF_8),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(range(256)), UTF_8),
    "too many letters": ("#" * (2**18 + 1), "it has more than 262144 characters"),
    "too many dots": ("\n# " + 201 * ".", "line 2 has more than 200 dots"),
}


@pytest.mark.parametrize("name", NO_TOML)
def test_a_file_that_is_no_definition_is_refused_in_one_sentence(file: Path, name: str) -> None:
    content, words = NO_TOML[name]
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DefinitionError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_largest_number_of_letters_and_dots(file: Path) -> None:
    text = file.read_text(encoding="utf-8") + "# " + 200 * "." + "\n"
    file.write_text(text + "#" * (2**18 - len(text)), encoding="utf-8")
    assert load(file) == read_document(SMALL, "small")


# The file.


def test_a_byte_order_mark_is_accepted(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load(file) == read_document(SMALL, "small")


def test_line_ends_of_windows_are_accepted(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load(file) == read_document(SMALL, "small")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"other\.toml: there is no such file"):
        load(tmp_path / "other.toml")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot be read"):
        load(tmp_path)


def test_an_empty_file_lacks_all_required_keys(file: Path) -> None:
    file.write_text("", encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        load(file)
    assert len(str(caught.value).splitlines()) == 6


# Options that change a definition.


def override(key: str, value: Any) -> Override:
    return Override(tuple(key.split(".")), value, f"--{key}")


@every_shipped_one
def test_without_changes_the_text_is_unchanged(path: Path) -> None:
    assert definition_text(path, []) == path.read_text(encoding="utf-8")


@every_shipped_one
def test_changes_affect_only_the_named_keys(path: Path) -> None:
    changes = {"search.trials": 3, "confirm.seeds": 2, "epochs": 7}
    expected = tomllib.loads(path.read_text(encoding="utf-8"))
    expected["epochs"] = 7
    expected.setdefault("search", {})["trials"] = 3
    expected.setdefault("confirm", {})["seeds"] = 2
    text = definition_text(path, [override(key, value) for key, value in changes.items()])
    assert tomllib.loads(text) == expected
    assert read(text).search.trials == 3


def test_a_change_creates_the_table_that_it_needs(file: Path) -> None:
    assert read(definition_text(file, [override("confirm.seeds", 1)])).confirm.seeds == 1


@pytest.mark.parametrize("dataset", ["cifar10", {"type": "cifar10"}])
def test_a_path_can_be_given_to_a_dataset(file: Path, dataset: Any) -> None:
    file.write_text(tomli_w.dumps({**SMALL, "dataset": dataset}), encoding="utf-8")
    document = tomllib.loads(definition_text(file, [override("dataset.path", "here")]))
    assert document["dataset"] == {"type": "cifar10", "path": "here"}


@pytest.mark.parametrize("key", ["search.trials", "dataset.path"])
def test_a_change_inside_a_value_that_is_no_table_is_refused(file: Path, key: str) -> None:
    table = key.partition(".")[0]
    file.write_text(tomli_w.dumps({**SMALL, table: 3}), encoding="utf-8")
    with pytest.raises(DefinitionError, match=f"{table} is no table, as --{key} needs"):
        definition_text(file, [override(key, 1)])


# The content of a definition.


def test_defaults() -> None:
    definition = experiment()
    assert (definition.seed, definition.precision, definition.keep_models) == (0, "fp32", "all")
    assert (definition.search.trials, definition.confirm.seeds) == (20, 5)
    assert (definition.search.sampler, definition.search.pruner) == ("tpe", "median")
    assert definition.search.batch_size == (32, 64, 128, 256)


def test_combinations_are_in_the_order_of_the_definition() -> None:
    definition = experiment(
        losses={"mse": {}, "bce": {}, "a": {"type": "mse"}},
        optimizers={"sgd": {"lr": 0.1}, "adam": {"lr": 0.1}},
    )
    assert [combination.name for combination in definition.combinations()] == [
        "mse+sgd",
        "mse+adam",
        "bce+sgd",
        "bce+adam",
        "a+sgd",
        "a+adam",
    ]


def test_the_space_has_all_searched_settings() -> None:
    definition = experiment(
        search__batch_size=[16, 8],
        losses={"focal": {"gamma": {"low": 0.5, "high": 3.0}}},
        optimizers={
            "sgd": {
                "lr": {"low": 0.1, "high": 0.5},
                "momentum": {"low": 0.0, "high": 0.9},
                "weight_decay": {"low": 1e-5, "high": 1e-2},
                "nesterov": False,
            }
        },
    )
    assert dict(definition.space(only(definition))) == {
        "lr": Range(low=0.1, high=0.5, log=True),
        "batch_size": Choices(values=(16, 8)),
        "loss.gamma": Range(low=0.5, high=3.0, log=False),
        "optimizer.momentum": Range(low=0.0, high=0.9, log=False),
        "optimizer.weight_decay": Range(low=1e-5, high=1e-2, log=True),
    }


def test_a_fixed_learning_rate_is_not_searched() -> None:
    definition = experiment(losses={"mse": {}}, optimizers={"sgd": {"lr": 0.1}})
    assert list(definition.space(only(definition))) == ["batch_size"]


@pytest.mark.parametrize(
    ("low", "high", "given_log", "log"),
    [
        (0.1, 1.0, None, True),
        (0.1, 0.99, None, False),
        (1e-5, 1e-1, None, True),
        (1e-5, 1e-1, False, False),
        (0.1, 0.2, True, True),
        (0.0, 1.0, None, False),
    ],
)
def test_a_setting_is_searched_on_a_log_scale_over_a_decade(
    low: float, high: float, given_log: bool | None, log: bool
) -> None:
    scale = {} if given_log is None else {"log": given_log}
    definition = experiment(losses={"focal": {"gamma": {"low": low, "high": high, **scale}}})
    combination = definition.combinations()[0]
    assert definition.space(combination)["loss.gamma"] == Range(low=low, high=high, log=log)


@pytest.mark.parametrize(("given_log", "log"), [({}, True), ({"log": False}, False)])
def test_a_learning_rate_is_searched_on_a_log_scale_by_default(
    given_log: dict[str, bool], log: bool
) -> None:
    definition = experiment(optimizers={"sgd": {"lr": {"low": 0.1, "high": 0.2, **given_log}}})
    assert definition.optimizers["sgd"].lr == Range(low=0.1, high=0.2, log=log)


def test_the_component_decides_whether_a_range_is_of_whole_numbers() -> None:
    ends = {"low": 1, "high": 4}
    definition = experiment(
        losses={"focal": {"gamma": ends}},
        optimizers={"muon": {"lr": ends, "ns_steps": ends}},
    )
    space = definition.space(only(definition))
    whole = {
        name: {type(values.low), type(values.high)}
        for name, values in space.items()
        if isinstance(values, Range)
    }
    assert whole == {"lr": {float}, "loss.gamma": {float}, "optimizer.ns_steps": {int}}


def test_a_trial_has_the_fixed_and_the_sampled_settings() -> None:
    definition = experiment(
        epochs=3,
        precision="bf16",
        augment="crop_flip",
        compile=True,
        losses={"f": {"type": "focal", "gamma": {"low": 0.5, "high": 3.0}}},
        optimizers={
            "m": {
                "type": "muon",
                "lr": {"low": 0.1, "high": 0.5},
                "momentum": 0.8,
                "ns_steps": {"low": 2, "high": 9},
            }
        },
    )
    params = {"lr": 0.25, "batch_size": 64, "loss.gamma": 1.25, "optimizer.ns_steps": 4}
    config = definition.trial(only(definition), params, 11)
    assert (config.loss, config.optimizer) == ("f", "m")
    assert config.loss_settings == LOSSES["focal"].model_validate({"gamma": 1.25})
    assert config.optimizer_settings == OPTIMIZERS["muon"].model_validate(
        {"momentum": 0.8, "ns_steps": 4}
    )
    others = config.model_dump(exclude={"loss", "optimizer", "loss_settings", "optimizer_settings"})
    assert others == {
        **{"lr": 0.25, "batch_size": 64, "seed": 11, "model": "seed_cnn", "epochs": 3},
        **{"precision": "bf16", "augment": "crop_flip", "compile": True, "ema": None},
        **{"schedule": None, "schedule_settings": {"warmup": 0.0}},
    }


def test_a_definition_is_immutable() -> None:
    definition = experiment()
    with pytest.raises(ValidationError, match="frozen"):
        definition.epochs = 3


def test_the_seeds_of_confirmations_follow_that_of_the_trials() -> None:
    definition = experiment(seed=7, confirm__seeds=3)
    assert [definition.confirmation_seed(n) for n in (1, 2, 3)] == [8, 9, 10]


def test_trainings_are_the_trials_and_confirmations_of_every_combination() -> None:
    definition = experiment(search__trials=7, confirm__seeds=3, optimizers__adamw__lr=RANGE)
    assert definition.num_trainings == 2 * 2 * (7 + 3)


# Schedules.

SEVERAL = {
    "constant": {},
    "short": {"type": "cosine", "warmup": 0.05},
    "free": {"type": "wsd", "warmup": {"low": 0.0, "high": 0.2}},
}


def test_several_schedules_are_a_third_factor() -> None:
    definition = experiment(schedules=SEVERAL)
    names = [c.name for c in definition.combinations()]
    assert len(names) == 2 * 2 * 3
    assert names[:3] == [f"{c}+{s}" for c in ["mse+sgd"] for s in ("constant", "short", "free")]
    *_, last = definition.combinations()
    assert "schedule.warmup" in definition.space(last)
    params = {"lr": 0.1, "batch_size": 64, "schedule.warmup": 0.125}
    config = definition.trial(last, params, 0)
    assert (config.schedule, config.schedule_settings.warmup) == ("free", 0.125)


def test_one_schedule_is_not_in_the_names() -> None:
    definition = experiment(schedules={"cosine": {}})
    assert [c.name for c in definition.combinations()] == [
        c.name for c in experiment().combinations()
    ]
    assert {c.schedule.type for c in definition.combinations()} == {"cosine"}


@pytest.mark.parametrize(
    ("schedules", "problem"),
    [
        ({"cosin": {}}, 'schedules.cosin.type: unknown schedule "cosin"; did you mean "cosine"?'),
        ({"cosine": {"flor": 0.1}}, 'schedules.cosine.flor: unknown name; did you mean "floor"?'),
        ({"wsd": {"decay": {"low": 0.5, "high": 1.0}}}, "schedules.wsd: warmup and decay are"),
        ({"constant": {}, "flat": {"type": "constant"}}, "schedules.flat: is the same as constant"),
        ({}, "schedules: should have at least 1"),
    ],
)
def test_wrong_schedules(schedules: dict[str, Any], problem: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        experiment(schedules=schedules)
    [line] = str(caught.value).splitlines()
    assert problem in line


@pytest.mark.parametrize("changes", [{"warmup": 0.1}, {"type": "linear"}])
def test_an_optimizer_without_use_for_a_schedule_is_refused(changes: dict[str, Any]) -> None:
    rprop = {"optimizers": {"rprop": {"lr": 0.1}}}
    assert experiment(**rprop, schedules={"constant": {}}).combinations()
    with pytest.raises(DefinitionError, match=r"optimizers\.rprop: only its first step"):
        experiment(**rprop, schedules={"constant": {}, "s": {"type": "constant", **changes}})


# One training.

OPTIONS: dict[str, Any] = {
    "dataset": {"type": "digits"},
    "model": {"type": "seed_cnn"},
    "loss": "focal",
    "optimizer": "sgd",
    "lr": 0.05,
    "batch_size": 16,
    "epochs": 3,
    "seed": 4,
    "precision": "fp32",
}


def test_options_of_one_training() -> None:
    definition = single_definition(OPTIONS, {"loss": {"gamma": 3.0}, "optimizer": {}})
    combination = only(definition)
    assert dict(definition.space(combination)) == {"batch_size": Choices(values=(16,))}
    config = definition.trial(combination, {"batch_size": 16}, definition.seed)
    assert (config.lr, config.batch_size, config.epochs, config.seed) == (0.05, 16, 3, 4)
    assert config.loss_settings == LOSSES["focal"].model_validate({"gamma": 3.0})
    assert OPTIONS["loss"] == "focal"  # the argument is not changed
    assert config.schedule is None


@pytest.mark.parametrize(
    ("name", "given_settings", "expected"),
    [
        ("cosine", {}, "cosine"),
        ("wsd", {"warmup": 0.1, "decay": 0.5}, "wsd"),
        (None, {"warmup": 0.1}, "constant"),
    ],
)
def test_the_schedule_of_one_training(
    name: str | None, given_settings: dict[str, Any], expected: str
) -> None:
    definition = single_definition({**OPTIONS, "schedule": name}, {"schedule": given_settings})
    config = definition.trial(only(definition), {"batch_size": 16}, definition.seed)
    assert config.schedule == expected
    assert config.schedule_settings == SCHEDULES[expected].model_validate(given_settings)


@pytest.mark.parametrize(
    ("changes", "given_settings", "says"),
    [
        ({"loss": "focl"}, {}, '--loss: unknown loss "focl"; did you mean "focal"?'),
        ({"optimizer": "sdg"}, {}, '--optimizer: unknown optimizer "sdg"; did you mean '),
        ({"schedule": "cosin"}, {}, '--schedule: unknown schedule "cosin"; did you mean "cosine"?'),
        ({"schedule": "cosine"}, {"schedule": {"floor": 2.0}}, "-s schedule.floor: should be at"),
        (
            {"schedule": "wsd", "optimizer": "rprop"},
            {},
            "-s optimizer: only its first step depends",
        ),
        ({"lr": -1.0}, {}, "--lr: should be greater than 0"),
        ({"lr": math.inf}, {}, "--lr: should be a finite number"),
        ({"batch_size": 0}, {}, "--batch-size: should be at least 1"),
        ({"epochs": 0}, {}, "--epochs: should be at least 1"),
        ({"seed": -1}, {}, "--seed: should be at least 0"),
        ({"model": {"type": "\udcff"}}, {}, "--model: unknown model "),
        ({}, {"loss": {"gama": 1.0}}, '-s loss.gama: unknown name; did you mean "gamma"?'),
        ({}, {"optimizer": {"momentum": 1.0}}, "-s optimizer.momentum: should be less than 1"),
        (
            {},
            {"loss": {"gamma": {"low": 0.5, "high": 4.0}}},
            "-s loss.gamma: one training takes one value, not a range",
        ),
        ({}, {"optimizer": {"lr": 0.5}}, "-s optimizer.lr: the learning rate is given by --lr"),
        ({"model": {"type": "mlp", "deep": 3}}, {}, "-s model.deep: unknown name; did you mean"),
        ({"loss": "a b"}, {}, "--loss: unknown loss"),
        ({"precision": "fp8"}, {}, "--precision: should be 'fp32', 'tf32', 'bf16' or 'auto'"),
        ({"dataset": {"type": "folder"}}, {}, "--data-dir: is missing"),
        ({"dataset": {"type": "folde"}}, {}, '--dataset: unknown dataset "folde"; did you mean'),
        ({"dataset": {"type": "folder", "path": "x", "sise": 3}}, {}, "-s dataset.sise: unknown"),
    ],
)
def test_wrong_options_of_one_training(
    changes: dict[str, Any], given_settings: dict[str, dict[str, Any]], says: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        single_definition({**OPTIONS, **changes}, given_settings)
    [line] = str(caught.value).splitlines()
    assert line.startswith(says)


def test_a_problem_names_the_option_of_the_value() -> None:
    text = tomli_w.dumps(changed({"precision": "fp8", "epochs": 0, "dataset": {"type": "folder"}}))
    options: Options = {("precision",): "--precision", ("dataset", "path"): "--data-dir"}
    with pytest.raises(DefinitionError) as caught:
        read(text, "mine.toml", options)
    assert sorted(str(caught.value).splitlines()) == [
        "--data-dir: is missing",
        "--precision: should be 'fp32', 'tf32', 'bf16' or 'auto'",
        "mine.toml: epochs: should be at least 1",
    ]


def test_a_misspelt_key_is_not_also_reported_as_missing() -> None:
    document = changed({"epochs": MISSING, "epoch": 3, "model": MISSING})
    with pytest.raises(DefinitionError) as caught:
        read_document(document, "mine.toml")
    assert sorted(str(caught.value).splitlines()) == [
        'mine.toml: epoch: unknown name; did you mean "epochs"?',
        "mine.toml: model: is missing",
    ]


# Any definition.

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
rates = st.floats(1e-6, 10.0)


def ranges(low: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, Any]]:
    ends = st.tuples(low, low).filter(lambda both: both[0] != both[1])
    logs = st.sampled_from([{}, {"log": True}, {"log": False}])
    return st.builds(lambda both, log: {"low": min(both), "high": max(both), **log}, ends, logs)


def values_of(component: type[Settings], name: str) -> st.SearchStrategy[Any]:
    """Return a strategy for valid values of a setting, from the bounds in its declaration."""
    field = component.model_fields[name]
    if field.annotation is bool:
        return st.booleans()
    if get_origin(field.annotation) is Literal:
        return st.sampled_from(get_args(field.annotation))
    low, high = -10.0, 10.0
    for bound in field.metadata:
        match bound:
            case annotated_types.Ge(ge) | annotated_types.Gt(ge):
                low = float(ge) + 1e-3  # type: ignore[arg-type]
            case annotated_types.Le(le) | annotated_types.Lt(le):
                high = float(le) - 1e-3  # type: ignore[arg-type]
    if field.annotation is int:
        return st.integers(math.ceil(low), math.floor(high))
    return st.floats(low, high)


def valid_settings(component: type[Settings]) -> st.SearchStrategy[dict[str, Any]]:
    each = {name: values_of(component, name) for name in component.model_fields}
    return st.fixed_dictionaries({}, optional=each).filter(lambda given: _fits(component, given))


def _fits(component: type[Settings], given_settings: dict[str, Any]) -> bool:
    """Whether settings are valid together, if a component has conditions besides bounds."""
    try:
        component.model_validate(given_settings)
    except ValidationError:
        return False
    return True


def variants(
    table: dict[str, type[Any]], needed: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    each = [
        st.builds(
            lambda name, some, more: {"type": name, **some, **more},
            st.just(name),
            valid_settings(component),
            st.fixed_dictionaries(needed),
        )
        for name, component in table.items()
    ]
    return st.dictionaries(names, st.one_of(each), min_size=1, max_size=3)


documents = st.fixed_dictionaries(
    {
        "name": names,
        "dataset": st.sampled_from(["digits", "cifar10", {"type": "folder", "path": "a\\b c"}]),
        "model": st.sampled_from(sorted(MODELS)),
        "epochs": st.integers(1, 10**6),
        "losses": variants(dict(LOSSES), {}),
        "optimizers": variants(dict(OPTIMIZERS), {"lr": rates | ranges(rates)}),
    },
    optional={
        "seed": st.integers(0, 2**32 - 1),
        "precision": st.sampled_from(["fp32", "bf16"]),
        "keep_models": st.sampled_from(["all", "best"]),
        "confirm": st.fixed_dictionaries({}, optional={"seeds": st.integers(1, 99)}),
        "search": st.fixed_dictionaries(
            {},
            optional={
                "trials": st.integers(1, 999),
                "sampler": st.sampled_from(["random", "qmc", "tpe", "gp"]),
                "pruner": st.sampled_from(["none", "median", "hyperband"]),
                "batch_size": st.lists(st.integers(1, 4096), min_size=1, max_size=4, unique=True),
            },
        ),
    },
)


@given(documents)
@settings(max_examples=40, deadline=None)
def test_a_valid_definition_is_unchanged_after_writing_and_reading(
    document: dict[str, Any],
) -> None:
    definition = read(tomli_w.dumps(document))
    assert definition == read_document(document, "a.toml")
    assert definition.name == document["name"]
    assert len(definition.combinations()) == len(document["losses"]) * len(document["optimizers"])
    for name, table in document["losses"].items():
        variant = definition.losses[name]
        defaults = LOSSES[variant.type]().model_dump()
        assert {**defaults, **table} == {**variant.settings, "type": variant.type}
    for name, table in document["optimizers"].items():
        chosen = definition.optimizers[name]
        defaults = OPTIMIZERS[chosen.type]().model_dump()
        written = {key: value for key, value in table.items() if key != "lr"}
        assert {**defaults, **written} == {**chosen.settings, "type": chosen.type}


@given(documents, st.data())
@settings(max_examples=40, deadline=None)
def test_any_sample_gives_a_training_and_is_read_back_from_text(
    document: dict[str, Any], data: st.DataObject
) -> None:
    definition = read_document(document, "a.toml")
    combination = data.draw(st.sampled_from(definition.combinations()))
    space = definition.space(combination)
    params = {name: data.draw(_draws(values), label=name) for name, values in space.items()}
    config = definition.trial(combination, params, definition.seed)
    assert config.batch_size == params["batch_size"]
    texts = {name: str(value) for name, value in params.items()}
    again = definition.parse(combination, {**texts, "epochs": "3"})
    assert again == params
    assert {name: type(value) for name, value in again.items()} == {
        name: type(value) for name, value in params.items()
    }


def _draws(values: Range | Choices) -> st.SearchStrategy[Any]:
    match values:
        case Choices():
            return st.sampled_from(values.values)
        case Range(low=int() as low, high=int() as high):
            return st.integers(low, high)
    return st.floats(values.low, values.high)


# Studies and replicates.


def test_several_studies_have_one_confirmation_each_by_default() -> None:
    assert experiment(search__studies=3).design.seeds == 1
    assert experiment(search__studies=3, confirm__seeds=2).design.seeds == 2
    assert experiment().design.seeds == 5


def test_each_study_has_its_own_seeds() -> None:
    definition = experiment(seed=7, search__studies=3)
    seeds = {
        seed
        for study in (1, 2, 3)
        for seed in (
            definition.study_seed(study),
            *(definition.confirmation_seed(number, study) for number in (1, 2)),
        )
    }
    assert len(seeds) == 9
    assert {7, 8, 9} < seeds
    other = experiment(seed=8, search__studies=3)
    assert other.study_seed(2) not in seeds


@pytest.mark.parametrize(
    ("changes", "least", "most"),
    [
        ({}, (8, 5), (8, 5)),
        ({"confirm__until": "decided"}, (8, 5), (8, 20)),
        ({"search__studies": 3}, (24, 3), (24, 3)),
        (
            {"search__studies": 3, "confirm__seeds": 2, "confirm__until": "decided"},
            (24, 6),
            (160, 40),
        ),
    ],
)
def test_the_smallest_and_the_largest_number_of_trainings(
    changes: dict[str, Any], least: tuple[int, int], most: tuple[int, int]
) -> None:
    definition = experiment(search__trials=8, optimizers__adamw__lr=RANGE, **changes)
    num_combinations = len(definition.combinations())
    assert definition.num_trainings == num_combinations * sum(least)
    assert definition.at_most().num_trainings == num_combinations * sum(most)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"confirm__most": 4}, "confirm.seeds, which is 5"),
        ({"search__studies": 30}, "search.studies, which is 30"),
    ],
)
def test_the_maximum_of_replicates_is_not_below_the_minimum(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(DefinitionError, match=f"confirm.most: should be at least {named}"):
        experiment(confirm__until="decided", **changes)


@pytest.mark.parametrize(
    ("space", "number"),
    [
        ({}, 1),
        ({"batch_size": Choices(values=(8,))}, 1),
        ({"batch_size": Choices(values=(8, 16, 32))}, 3),
        ({"batch_size": Choices(values=(8, 16)), "n": Range(low=2, high=6)}, 10),
        ({"batch_size": Choices(values=(8,)), "n": Range(low=1, high=100, log=True)}, 100),
        ({"batch_size": Choices(values=(8,)), "lr": Range(low=0.1, high=0.2)}, math.inf),
    ],
)
def test_the_number_of_settings_by_hand(space: dict[str, Range | Choices], number: float) -> None:
    assert num_settings(space) == number


def test_a_combination_has_at_most_one_trial_for_each_setting() -> None:
    """Two losses; momentum is searched over 2 batch sizes, sgd has 2 settings, muon 2 x 3."""
    definition = experiment(
        search__trials=7,
        search__studies=3,
        search__batch_size=[8, 16],
        confirm__seeds=2,
        optimizers={
            "sgd": {"lr": 0.1},
            "muon": {"lr": 0.1, "ns_steps": {"low": 2, "high": 4}},
            "adam": {"lr": {"low": 0.1, "high": 0.2}},
        },
    )
    assert [definition.trials_of(c) for c in definition.combinations()] == [2, 6, 7] * 2
    assert definition.num_trials == 3 * 2 * (2 + 6 + 7)
    assert definition.num_confirmations == 3 * 2 * 3 * 2
    assert definition.num_trainings == 90 + 36
