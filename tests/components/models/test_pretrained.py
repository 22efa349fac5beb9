"""Pretrained weights from files, and networks of timm."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cifar_exp.components.models import build, read_model
from cifar_exp.components.models.heads import use_cosine_head
from cifar_exp.components.models.last_layer import last_layer
from cifar_exp.components.models.pretrained import freeze
from cifar_exp.experiment import read
from cifar_exp.training.group.stackable import is_stackable
from tests import tiny

save_file = pytest.importorskip("safetensors.torch").save_file
timm = pytest.importorskip("timm")


def built(raw: Any, num_classes: int = 10, seed: int = 0, size: int = 16) -> torch.nn.Module:
    model = read_model(raw)
    shape: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.25] * 3, "size": size}
    return build(model, **shape, num_classes=num_classes, seed=seed).get_submodule("network")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The weights of a network with ten classes."""
    path = tmp_path / "lenet.safetensors"
    save_file(built("lenet", seed=5).state_dict(), path)
    return path


def test_a_network_starts_from_the_weights_of_a_file(file: Path) -> None:
    expected = built("lenet", seed=5).state_dict()
    found = built({"type": "lenet", "weights": str(file)}).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_last_layer_is_new_if_there_are_other_classes(file: Path) -> None:
    expected, new = built("lenet", seed=5).state_dict(), built("lenet", 4).state_dict()
    found = built({"type": "lenet", "weights": str(file)}, 4).state_dict()
    *body, weight, bias = found
    assert all(torch.equal(found[name], expected[name]) for name in body)
    assert all(torch.equal(found[name], new[name]) for name in (weight, bias))


def test_a_frozen_network_trains_its_last_layer_only(file: Path) -> None:
    network = built({"type": "lenet", "weights": str(file), "frozen": True}, 4)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert [tuple(parameter.shape) for parameter in trained] == [(4, 84), (4,)]


class OtherOrder(torch.nn.Module):
    """The classifier is registered before the convolution, and its outputs are scaled."""

    def __init__(self, heads: int = 1) -> None:
        super().__init__()
        self.classify = torch.nn.ModuleList(torch.nn.Linear(4, 10) for _ in range(heads))
        self.features = torch.nn.Conv2d(3, 4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.features(images)).mean((2, 3))
        outputs: torch.Tensor = sum(head(features) for head in self.classify)
        return 0.1 * outputs


def test_the_last_layer_is_that_of_the_outputs_in_any_order() -> None:
    network, images = OtherOrder(), torch.rand(2, 3, 8, 8)
    freeze(network, images)
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert trained == ["classify.0.weight", "classify.0.bias"]
    use_cosine_head(network, images)
    assert network(images).abs().max() <= 0.1
    assert all(module.training and not module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("change", [freeze, use_cosine_head, last_layer])
def test_a_network_with_two_heads_is_refused_where_one_is_needed(change: Any) -> None:
    with pytest.raises(ValueError, match=r"are: classify\.0, classify\.1$"):
        change(OtherOrder(heads=2), torch.rand(2, 3, 8, 8))


def test_two_heads_of_timm_are_loaded_whole_and_not_frozen(tmp_path: Path) -> None:
    raw = {"type": "timm:deit_tiny_distilled_patch16_224"}
    path = tmp_path / "deit.safetensors"
    save_file(built(raw, seed=5).state_dict(), path)
    found, expected = (built(each).state_dict() for each in ({**raw, "weights": path}, raw))
    assert torch.equal(found["head.weight"], built(raw, seed=5).state_dict()["head.weight"])
    assert not torch.equal(found["head.weight"], expected["head.weight"])
    with pytest.raises(ValueError, match=r"model timm:deit_\S+: .* are: head, head_dist$"):
        built({**raw, "weights": path, "frozen": True})


def test_the_identity_has_the_content_of_the_file(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "moved.safetensors"
    other.write_bytes(file.read_bytes())
    models = [read_model({"type": "lenet", "weights": str(path)}) for path in (file, other)]
    assert models[0].identity() == models[1].identity() != read_model("lenet").identity()
    save_file(built("lenet", seed=6).state_dict(), other)
    assert models[0].identity() != read_model({"type": "lenet", "weights": str(other)}).identity()
    assert read_model("lenet").identity() == "lenet"


def test_a_training_refuses_weights_that_are_not_those_of_the_identity(file: Path) -> None:
    model = read_model({"type": "lenet", "weights": str(file)})
    before = model.identity()
    sent = pickle.loads(pickle.dumps(model))
    content = file.read_bytes()
    save_file(built("lenet", seed=6).state_dict(), file)
    assert sent.identity() == before
    with pytest.raises(ValueError, match=r"lenet\.safetensors have changed since"):
        built(sent)
    file.write_bytes(content)
    assert len(built(sent).state_dict()) == len(built(model).state_dict())


def test_weights_in_a_folder_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be read: Is a directory$"):
        built({"type": "lenet", "weights": str(tmp_path)})


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("seed_cnn", "are not of this network: "),
        ("mlp", "are not of this network: "),
    ],
)
def test_weights_of_another_network_are_one_sentence(file: Path, model: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        built({"type": model, "weights": str(file)})


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    for content in (None, b"", b"PK\x03\x04 a zip file"):
        if content is not None:
            wrong.write_bytes(content)
        with pytest.raises(ValueError, match=r"weights \S+/wrong.safetensors cannot be read: "):
            built({"type": "lenet", "weights": str(wrong)})


def test_only_pretrained_networks_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen needs pretrained weights"):
        read_model({"type": "lenet", "frozen": True})


@pytest.mark.parametrize(
    ("name", "settings", "reduced"),
    [
        ("resnet18", {"drop_rate": 0.1}, (512, 2, 2)),
        ("convnext_atto", {"drop_path_rate": 0.1}, (320, 2, 2)),
        ("vit_tiny_patch16_224", {}, (17, 192)),  # 4 x 4 patches and the class token
        ("vit_tiny_patch16_224", {"patch_size": 8}, (5, 192)),
        ("mobilenetv3_small_050", {}, (288, 1, 1)),
    ],
)
def test_networks_of_timm_keep_pixels_of_small_images(
    name: str, settings: dict[str, Any], reduced: tuple[int, ...]
) -> None:
    network: Any = built({"type": f"timm:{name}", **settings})
    images = torch.randn(2, 3, 16, 16)
    assert network(images).shape == (2, 10)
    assert network.forward_features(images).shape[1:] == reduced


def test_the_resnet_of_timm_for_small_images_is_ours() -> None:
    ours, theirs = built("resnet18").state_dict(), built("timm:resnet18").state_dict()
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}


def test_a_setting_that_a_network_of_timm_lacks_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="model timm:mixer_s16_224 cannot be built: "):
        built({"type": "timm:mixer_s16_224", "patch_size": 4})
    with pytest.raises(ValidationError, match="known are: drop_path_rate"):
        read_model({"type": "timm:resnet18", "architecture": "resnet50"})


def test_a_network_of_timm_trains_alone_or_stacked_as_it_computes() -> None:
    assert is_stackable(read_model("timm:resnet18"), 3, 16, 5)
    assert not is_stackable(read_model("timm:vit_tiny_patch16_224"), 3, 16, 5)


def test_a_training_has_the_network_of_the_definition(file: Path, tmp_path: Path) -> None:
    text = tiny.definition(tmp_path)
    table = f'model = {{ type = "lenet", weights = "{file}" }}'
    experiment = read(re.sub("(?m)^model = .*$", table, text))
    combination, *_ = experiment.combinations()
    experiment.identity(combination, "data")
    config = experiment.trial(combination, {"lr": 0.1, "batch_size": 16}, seed=0)
    assert config.model.weights_digest == hashlib.sha256(file.read_bytes()).hexdigest()
