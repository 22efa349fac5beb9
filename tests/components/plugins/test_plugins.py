"""Plug-ins: what they may define, their settings, their identity, and what is refused."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import cifar_exp
from cifar_exp.components import components_of
from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import DATASETS, DataError, load
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models.build import build, read_model
from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.plugins import registry
from cifar_exp.components.plugins.plugin import PluginError
from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import Experiment, named, read
from cifar_exp.testing import check_loss, check_network
from cifar_exp.testing.contract import ContractError
from tests import plugins, tiny
from tests.plugins import LOSS, NETWORK, OPTIMIZER, write, write_package


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    with plugins.none_left():
        yield


LOGITS, LABELS = torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 0])


def test_a_function_is_a_loss_whose_parameters_are_settings(tmp_path: Path) -> None:
    plugins.load(write(tmp_path, LOSS))
    loss = LOSSES["tempered"](temperature=4)  # type: ignore[call-arg]
    expected = torch.nn.functional.cross_entropy(LOGITS / 4, LABELS)
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)
    assert LOSSES["tempered"]().model_dump()["temperature"] == 2.0
    assert LOSSES["tempered"].__doc__ == "Cross-entropy of divided logits."
    with pytest.raises(ValueError, match="should be a number"):
        LOSSES["tempered"](temperature="warm")  # type: ignore[call-arg]
    assert pickle.loads(pickle.dumps(loss)) == loss


def test_a_class_of_torch_is_an_optimizer(tmp_path: Path) -> None:
    plugins.load(write(tmp_path, OPTIMIZER))
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 2.0)
    layer.weight.grad = torch.full((1, 1), 3.0)
    optimizer = OPTIMIZERS["Plain"](shrink=0.5)  # type: ignore[call-arg]
    optimizer.build(layer, 0.1).step()
    assert layer.weight.item() == pytest.approx(0.5 * 2.0 - 0.1 * 3.0)
    assert not optimizer.is_stackable({})


def test_parameters_of_torchs_own_optimizers_are_settings(tmp_path: Path) -> None:
    source = "import cifar_exp, torch\n@cifar_exp.optimizer\nclass Own(torch.optim.SGD): pass\n"
    plugins.load(write(tmp_path, source))
    optimizer = OPTIMIZERS["Own"](momentum=0.9, nesterov=True)  # type: ignore[call-arg]
    built = optimizer.build(torch.nn.Linear(1, 1), 0.1)
    found = {key: built.param_groups[0][key] for key in ("lr", "momentum", "nesterov", "foreach")}
    assert found == {"lr": 0.1, "momentum": 0.9, "nesterov": True, "foreach": None}


def test_a_module_is_a_network_whose_other_parameters_are_settings(tmp_path: Path) -> None:
    source = NETWORK.replace("channels: int = 3)", "channels: int = 3, groups: int = 1)")
    plugins.load(
        write(tmp_path, source.replace("(channels, num", "(channels * groups // groups, num"))
    )
    for raw in ("Colours", {"type": "Colours", "groups": 2}):
        network = build(read_model(raw), mean=[0.5], std=[0.5], size=8, num_classes=3, seed=0)
        assert network(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 3)
    assert read_model({"type": "Colours", "groups": 2}).model_dump()["groups"] == 2


DATA = """
import numpy as np
import cifar_exp

@cifar_exp.dataset
def grey(level: int = 7):
    images = np.full((40, 4, 4, 1), level, np.uint8)
    return images, np.arange(40) % 2
"""


def test_a_function_is_a_data_set_that_is_made_again_if_the_file_changes(tmp_path: Path) -> None:
    plugins.load(write(tmp_path, DATA))
    first, other = load(DATASETS["grey"]()), load(DATASETS["grey"](level=9))  # type: ignore[call-arg]
    assert (len(first.train), len(first.val), len(first.test)) == (28, 4, 8)
    assert [set(d.train.images.flatten().tolist()) for d in (first, other)] == [{7}, {9}]
    plugins.load(write(tmp_path, DATA.replace(", level,", ", 5,")))
    assert set(load(DATASETS["grey"]()).train.images.flatten().tolist()) == {5}


def test_files_beside_a_plugin_are_found_by_its_path_and_not_imported(tmp_path: Path) -> None:
    (tmp_path / "level.txt").write_text("9", encoding="utf-8")
    beside = "int((pathlib.Path(__file__).parent / 'level.txt').read_text())"
    plugins.load(write(tmp_path, "import pathlib", DATA.replace("level, np", f"{beside}, np")))
    assert set(load(DATASETS["grey"]()).train.images.flatten().tolist()) == {9}
    (tmp_path / "beside_it.py").touch()
    with pytest.raises(PluginError, match="No module named 'beside_it'"):
        plugins.load(write(tmp_path, "import beside_it", DATA))


def test_a_parameter_with_the_default_none_is_no_setting(tmp_path: Path) -> None:
    source = LOSS.replace(
        "temperature: float = 2.0", "temperature: float = 2.0, t: float | None = None"
    )
    plugins.load(write(tmp_path, source))
    assert "t" not in LOSSES["tempered"].model_fields


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("return images, np", "return images[..., 0], np", "shape (40, 4, 4)"),
        ("np.uint8)", "float)", "type float64"),
        ("% 2", "% 2 - 1", "not 40 integers from 0"),
        ("return images, ", "return ", "but ndarray"),
        ("return images, np", "return images[..., :0], np", "shape (40, 4, 4, 0)"),
        ("return images, np", "return [[1], [1, 2]], np", "ValueError"),
        ("% 2", "* 0", "labels up to 0"),
        ("% 2", "+ 2**40", "labels up to 1099511627815"),
    ],
)
def test_unsuitable_data_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    plugins.load(write(tmp_path, DATA.replace(old, new)))
    with pytest.raises(DataError, match="data set grey") as caught:
        load(DATASETS["grey"]())
    assert problem in str(caught.value)


def test_classes_as_the_built_in_ones(tmp_path: Path) -> None:
    source = """
    from typing import ClassVar
    from pydantic import Field
    from cifar_exp.components.augmentations import Augmentation
    from cifar_exp.components.losses import Loss

    class Base(Loss):
        factor: float = Field(default=1.0, gt=0)

    class Half(Base):
        name: ClassVar[str] = "half"
        def _per_image(self, logits, labels):
            return self.factor * logits.square().mean(1) / 2

    class Dark(Augmentation):
        name = "dark"
        def __call__(self, images, draws):
            return images // 2
    """
    plugins.load(write(tmp_path, source))
    assert LOSSES["half"](factor=3.0)(LOGITS, LABELS).item() == pytest.approx(3 * 2.5)  # type: ignore[call-arg]
    assert AUGMENTATIONS["dark"]()(torch.full((1, 3, 2, 2), 9), {}).max() == 4
    assert registry.origin("losses", "half") is not None
    assert registry.origin("losses", "focal") is None


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("raise KeyError('no')", "cannot be built: KeyError: 'no' (my.py, line 13)"),
        ("raise SystemExit(0)", "cannot be built: SystemExit: 0 (my.py, line 13)"),
        ("raise ValueError('no')", "cannot be built: ValueError: no (my.py, line 13)"),
        ("self.forward = lambda images: (images, 1)", "returns tuple, not a tensor of logits"),
        ("self.forward = lambda images: exit(0)", "SystemExit: 0 (my.py, line 13)"),
        ("self.forward = lambda images: {}['no']", "KeyError: 'no' (my.py, line 13)"),
    ],
)
def test_an_error_in_a_network_has_its_place(tmp_path: Path, statement: str, problem: str) -> None:
    plugins.load(
        write(tmp_path, NETWORK.replace("super().__init__()", f"super().__init__(); {statement}"))
    )
    with pytest.raises(ValueError, match=r"^model Colours ") as caught:
        build(read_model("Colours"), mean=[0.5], std=[0.5], size=8, num_classes=3, seed=0)
    assert str(caught.value).endswith(problem)
    with pytest.raises(ContractError, match=r"line 13|returns tuple"):
        check_network("Colours")


def test_a_network_without_parameters_is_one_sentence(tmp_path: Path) -> None:
    source = NETWORK.replace(", torch.nn.Linear(channels, num_classes)", "")
    plugins.load(write(tmp_path, source))
    with pytest.raises(ValueError, match=r"^model Colours has no parameters that can be trained$"):
        build(read_model("Colours"), mean=[0.5] * 3, std=[0.5] * 3, size=8, num_classes=3, seed=0)


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyError('no')"])
def test_an_error_in_a_data_set_has_its_place(tmp_path: Path, error: str) -> None:
    plugins.load(write(tmp_path, DATA.replace("images = np", f"raise {error}; images = np")))
    with pytest.raises(DataError, match=r"^data set grey: \w+: .* \(my\.py, line 7\)$"):
        load(DATASETS["grey"]())


def test_a_loss_that_ends_the_program_does_not_hold(tmp_path: Path) -> None:
    plugins.load(write(tmp_path, LOSS.replace("return", "raise SystemExit(0)\n    return")))
    with pytest.raises(ContractError, match=r"SystemExit: 0 \(my\.py, line 8\)"):
        check_loss("tempered")


TWICE = """
from cifar_exp.components.augmentations import Augmentation

class One(Augmentation):
    name = "twice"

class Two(Augmentation):
    name = "twice"
"""

BAD = {
    "": "defines no component",
    "def f(:": "line 1: cannot be imported (SyntaxError: invalid syntax)",
    "x = 1\nraise ValueError('no\\nway')": "line 2: cannot be imported (ValueError: no)",
    "import sys\nsys.exit(3)": "line 2: cannot be imported (SystemExit: 3)",
    "import not_installed_anywhere": "line 1: cannot be imported (ModuleNotFoundError",
    LOSS.replace("temperature: float", "temperature"): "`temperature` needs a type",
    LOSS.replace("temperature", "class_weights"): "`class_weights` has a name that a setting",
    LOSS.replace("temperature", "given"): "`given` has a name that a setting cannot have",
    LOSS + LOSS: "line 13: loss tempered: line 5 has another one of this name; rename it",
    TWICE: "the file has another one of this name",
    LOSS.replace("float = 2.0", "list"): "`temperature` needs a default",
    LOSS.replace("float = 2.0", "float = 'x'"): "default of a parameter is invalid: temperature",
    LOSS.replace("temperature", "type"): "`type` has a name that a setting cannot have",
    LOSS.replace("temperature", "model_dump"): "`model_dump` has a name that a setting cannot have",
    LOSS.replace("labels, temp", "targets: int, temp"): "it needs a parameter `labels`",
    LOSS.replace("float =", "Nothing ="): "line 6: cannot be imported (NameError: name 'Nothing'",
    LOSS.replace("tempered", "_tempered"): "'_tempered' cannot be a name",
    LOSS.replace("tempered", "mse"): "line 5: loss mse: the name is taken by the one of cifar_exp "
    "(built in, cifar_exp.components.losses.distance); rename it",
    OPTIMIZER.replace("(torch.optim.Optimizer)", ""): "not a subclass of torch.optim.Optimizer",
    OPTIMIZER.replace(" lr: float", " rate: float"): "it needs a parameter `lr`",
    NETWORK.replace("channels: int = 3", "width: list"): "`width` needs a default",
    NETWORK.replace("num_classes, ch", "ch").replace("num_classes", "2"): "parameter `num_classes`",
}


@pytest.mark.parametrize("source", BAD)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, source: str) -> None:
    before = {kind: list(components_of(kind)) for kind in ("losses", "optimizers", "models")}
    path = write(tmp_path, source)
    with pytest.raises(PluginError) as caught:
        plugins.load(path)
    assert str(caught.value).startswith(f"plug-in {path}")
    assert BAD[source] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {kind: list(components_of(kind)) for kind in before} == before


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "no.py", "no such file"), (tmp_path, "Is a directory")):
        with pytest.raises(PluginError, match=problem):
            plugins.load(path)


def test_two_plugins_cannot_have_the_same_name(tmp_path: Path) -> None:
    first, second = (write(tmp_path, LOSS, f"# {n}", name=n) for n in ("one.py", "two.py"))
    registry.load(registry.files([first, first]))
    with pytest.raises(PluginError, match="tempered") as caught:
        registry.load(registry.files([second]))
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_the_variable_names_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path, LOSS), write(tmp_path, NETWORK, name="net.py")]
    monkeypatch.setenv("CIFAR_EXP_PLUGINS", ":".join(map(str, paths)))
    registry.load(registry.files([paths[0]]))
    assert [plugin.label for plugin in registry.loaded_plugins()] == ["my.py", "net.py"]
    assert "Colours" in MODELS


def test_an_import_that_takes_long_is_logged_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cifar_exp.components.plugins.plugin.SECONDS_UNTIL_NOTICE", 0.01)
    path = write(tmp_path, LOSS, "import time\ntime.sleep(0.3)\n")
    plugins.load(path)
    line = path.read_text().splitlines().index("time.sleep(0.3)") + 1
    assert f"importing plug-in {path}, line {line} takes long" in caplog.text


# Identity


def identities(experiment: Experiment) -> dict[str, str]:
    return {c.name: experiment.identity(c, "data") for c in experiment.combinations()}


def test_the_source_is_in_the_identity_of_those_that_use_it(tmp_path: Path) -> None:
    definition = tiny.definition(tmp_path, losses="mse = {}\ntempered = {}")
    built_in = identities(tiny.experiment(tmp_path, losses="mse = {}"))["mse+sgd"]
    found = []
    for source in (LOSS, f"{LOSS}# changed\n", LOSS):
        plugins.load(write(tmp_path, source))
        found.append(identities(read(definition)))
    assert {ids["mse+sgd"] for ids in found} == {built_in}
    assert found[0] != found[1]
    assert found[0] == found[2]


def test_the_source_of_a_network_is_in_the_identity_of_all(tmp_path: Path) -> None:
    definition = tiny.definition(tmp_path).replace("seed_cnn_relu", "Colours")
    found = []
    for source in (NETWORK, f"{NETWORK}# changed\n"):
        plugins.load(write(tmp_path, source))
        found.append(identities(read(definition)))
    assert set(found[0].values()).isdisjoint(found[1].values())


DARK = """
from cifar_exp.components.augmentations import Augmentation

class Dark(Augmentation):
    name = "dark"
    def __call__(self, images, draws):
        return images // 2
"""


def test_the_source_of_the_base_of_an_augmentation_is_in_the_identity(tmp_path: Path) -> None:
    parts = tiny.definition(tmp_path, losses="cross_entropy = {}")
    definition = 'augment = { type = "mixup", base = "dark" }\n' + parts
    found = []
    for source in (DARK, f"{DARK}# changed\n"):
        plugins.load(write(tmp_path, source))
        found.append(identities(read(definition)))
    assert set(found[0].values()).isdisjoint(found[1].values())


# Installed packages


def test_an_installed_package_is_imported_only_for_an_unknown_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_losses", "own_losses.losses"):  # of another test, in another folder
        monkeypatch.delitem(sys.modules, name, raising=False)
    named.read(lambda: tiny.experiment(tmp_path))
    wrong = "sgd = { lr = 0.1, momentun = 0.9 }"
    with pytest.raises(DefinitionError, match="momentun"):
        named.read(lambda: tiny.experiment(tmp_path, optimizers=wrong))
    assert "own_losses.losses" not in sys.modules
    experiment = named.read(lambda: tiny.experiment(tmp_path, losses="packaged = {}"))
    assert "own_losses.losses" in sys.modules
    [plugin] = named.plugins_used(experiment)
    assert plugin.place == "own-losses 1.2 (own_losses.losses)"
    [sent] = registry.loaded()
    (tmp_path / "own_losses" / "losses.py").write_text("# changed", encoding="utf-8")
    with pytest.raises(PluginError, match=r"own-losses 1\.2 .*has changed since"):
        sent.module()


def test_the_decorators_import_nothing() -> None:
    def function() -> None: ...

    assert cifar_exp.loss(function) is function
