"""Models: shapes, sizes, initial weights, and messages about models that cannot be built."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cifar_exp.components.models import MODELS, read_model
from cifar_exp.components.models import build as build_model
from cifar_exp.components.models.blocks import whiten
from cifar_exp.components.models.build import check_input, check_name
from cifar_exp.components.models.networks.torchvision import Torchvision
from cifar_exp.components.models.standardize import Standardize
from cifar_exp.components.models.suggestion import TORCHVISION_NAMES
from cifar_exp.testing.networks import CHECKS
from tests.components.models.small import SETTINGS, small, small_size

PAGE = Path(__file__).parents[3] / "docs" / "components.md"

NAMES = sorted(MODELS)


def build(
    name: str,
    size: int = 32,
    num_classes: int = 10,
    seed: int = 0,
    channels: int = 3,
    settings: Mapping[str, Any] | None = None,
) -> torch.nn.Module:
    """Build a network; by default one of the table is small."""
    chosen = SETTINGS.get(name, {}) if settings is None else settings
    return build_model(
        read_model({"type": name, **chosen}),
        mean=[0.5] * channels,
        std=[0.25] * channels,
        size=size,
        num_classes=num_classes,
        seed=seed,
    )


def images(size: int = 32, channels: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, channels, size, size), generator=random, dtype=torch.uint8)


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "num_classes", "channels"), [(32, 10, 3), (28, 7, 1), (17, 2, 3)])
def test_logits_have_the_right_shape(name: str, size: int, num_classes: int, channels: int) -> None:
    size = max(size, small_size(name))
    model = build(name, size=size, num_classes=num_classes, channels=channels)
    logits = model(images(size, channels))
    assert logits.shape == (2, num_classes)
    assert logits.dtype == torch.float32
    assert [child for child, _ in model.named_children()] == ["standardize", "network"]
    assert model.training


def convolution(inputs: int, outputs: int, width: int) -> int:
    return inputs * outputs * width**2 + outputs


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def block(inputs: int, outputs: int) -> int:
    """Return the parameters of a basic block: two 3 x 3 convolutions and, if wider, one 1 x 1."""
    convolutions = 9 * inputs * outputs + 9 * outputs**2
    shortcut = inputs * outputs + 2 * outputs if inputs != outputs else 0
    return convolutions + 4 * outputs + shortcut


def wide(depth: int, width: int) -> int:
    """Return the parameters of a wide ResNet: blocks as above, with a norm before each convolution.

    Three blocks change the number of channels, and their shortcuts have no norm.
    """
    blocks = (depth - 4) // 6
    channels = [16, 16 * width, 32 * width, 64 * width]
    total = 27 * 16
    for inputs, outputs in itertools.pairwise(channels):
        changing = 9 * inputs * outputs + 9 * outputs**2 + inputs * outputs
        total += changing + 2 * (inputs + outputs)
        total += (blocks - 1) * (18 * outputs**2 + 4 * outputs)
    return total + 2 * channels[-1] + linear(channels[-1], 10)


SEED_CNN = (
    convolution(3, 32, 5) + convolution(32, 32, 5) + convolution(32, 64, 5)
    + linear(1024, 64) + linear(64, 10)
)  # fmt: skip
PARAMETERS = {
    "seed_cnn": SEED_CNN,
    "seed_cnn_relu": SEED_CNN,
    "lenet": convolution(3, 6, 5)
    + convolution(6, 16, 5)
    + linear(400, 120)
    + linear(120, 84)
    + linear(84, 10),
    "cifar10_3c3d": convolution(3, 64, 5)
    + convolution(64, 96, 3)
    + convolution(96, 128, 3)
    + linear(1152, 512)
    + linear(512, 256)
    + linear(256, 10),
    "mlp": linear(3072, 512) + linear(512, 512) + linear(512, 10),
    # Six convolutions without bias, of which all but the first are 3 x 3, and their norms.
    "airbench": convolution(3, 24, 2)
    + 9 * sum(a * b for a, b in [(24, 64), (64, 64), (64, 256), *[(256, 256)] * 3])
    + 2 * (2 * 64 + 4 * 256)
    + 256 * 10,
    "wrn_16_4": wide(16, 4),
    "wrn_28_10": wide(28, 10),
    "resnet18": 27 * 64
    + 2 * 64
    + sum(
        block(inputs, outputs) + block(outputs, outputs)
        for inputs, outputs in [(64, 64), (64, 128), (128, 256), (256, 512)]
    )
    + linear(512, 10),
}


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts(name: str) -> None:
    assert count(build(name, settings={})) == PARAMETERS[name]


def test_published_parameter_counts() -> None:
    published = {
        "seed_cnn": 145578,
        "lenet": 62006,
        "cifar10_3c3d": 895210,
        "resnet18": 11173962,
        "wrn_16_4": 2748890,
        "wrn_28_10": 36479194,
    }
    assert {name: PARAMETERS[name] for name in published} == published


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_depend_on_the_seed_only(name: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = weights(build(name, seed=3))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(weights(build(name, seed=3)), first)
    assert not torch.equal(weights(build(name, seed=4)), first)


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_does_not_change_the_output(name: str) -> None:
    model = build(name).eval()
    expected = model(images())
    model = model.to(memory_format=torch.channels_last)
    result = model(images().to(memory_format=torch.channels_last))
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: str) -> None:
    CHECKS["gradients"](small(name))


def test_seed_cnn_has_no_activations() -> None:
    model = build("seed_cnn")
    kinds = {type(layer).__name__ for layer in model.modules()}
    assert "ReLU" not in kinds
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in build("seed_cnn_relu").modules()) == 4


@pytest.mark.parametrize("name", ["seed_cnn", "seed_cnn_relu"])
def test_seed_cnn_is_the_original_network(name: str) -> None:
    activation = [torch.nn.ReLU()] if name == "seed_cnn_relu" else []
    layers = [
        torch.nn.Conv2d(3, 32, 5, padding=2),
        *activation,
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 32, 5, padding=2),
        *activation,
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 5, padding=2),
        *activation,
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(1024, 64),
        *activation,
        torch.nn.Linear(64, 10),
    ]
    original, model = torch.nn.Sequential(*layers), build(name)
    with torch.no_grad():
        for ours, theirs in zip(model.parameters(), original.parameters(), strict=True):
            theirs.copy_(ours)
    torch.testing.assert_close(model(images()), original((images() / 255 - 0.5) / 0.25))


def test_initial_weights_of_3c3d() -> None:
    model = build("cifar10_3c3d")
    named = dict(model.named_parameters())
    assert all((p == 0).all() for name, p in named.items() if name.endswith("bias"))
    convolutions = [p for p in named.values() if p.ndim == 4]
    for weight in convolutions:
        fans = (weight.shape[0] + weight.shape[1]) * weight[0, 0].numel()
        assert weight.std().item() == pytest.approx((2 / fans) ** 0.5, rel=0.05)
        assert weight.abs().max().item() > (6 / fans) ** 0.5  # more than in a uniform distribution
    for weight in [p for p in named.values() if p.ndim == 2]:
        bound = (6 / sum(weight.shape)) ** 0.5
        assert weight.abs().max().item() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_stem_of_resnet18_is_initialized_like_its_other_convolutions() -> None:
    stem = dict(build("resnet18").named_parameters())["network.conv1.weight"]
    assert stem.shape == (64, 3, 3, 3)
    assert stem.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)


def test_pooling_of_3c3d_pads_on_the_right_and_at_the_bottom() -> None:
    pool = next(m for m in build("cifar10_3c3d").modules() if isinstance(m, torch.nn.MaxPool2d))
    grid = torch.rand(1, 1, 28, 28)
    padded = torch.nn.functional.pad(grid, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(pool(grid), torch.nn.functional.max_pool2d(padded, 3, 2))
    assert pool(grid).shape == (1, 1, 14, 14)


def test_the_first_layer_of_airbench_whitens_patches() -> None:
    """The covariance of its outputs is the identity, but for the number added to variances."""
    random = torch.Generator().manual_seed(0)
    mixing = torch.randn(3, 3, generator=random)
    pixels = torch.randn(50, 3, 12, 12, generator=random)
    given = torch.einsum("ij,njhw->nihw", mixing, pixels)
    layer = torch.nn.Conv2d(3, 24, 2, bias=False)
    whiten(layer, given, eps=0.0)
    outputs = layer(given).detach().permute(0, 2, 3, 1).reshape(-1, 24)
    covariance = outputs[:, :12].T @ outputs[:, :12] / len(outputs)
    torch.testing.assert_close(covariance, torch.eye(12), rtol=0, atol=1e-4)
    torch.testing.assert_close(outputs[:, 12:], -outputs[:, :12])


@pytest.mark.parametrize(
    ("name", "least"),
    [("seed_cnn", 8), ("seed_cnn_relu", 8), ("lenet", 16), ("cifar10_3c3d", 16), ("airbench", 25)],
)
def test_smallest_image_size(name: str, least: int) -> None:
    assert build(name, size=least)(images(least)).shape == (2, 10)
    sentence = f"model {name} needs images of at least {least} x {least} pixels, not "
    with pytest.raises(ValueError, match=sentence):
        build(name, size=least - 1)


def test_networks_with_several_outputs_in_training_have_one() -> None:
    model = build("torchvision:googlenet")
    assert model(images()).shape == (2, 10)


def test_torchvision_networks_by_name() -> None:
    model = build("torchvision:mobilenet_v3_small", num_classes=5)
    assert model(images()).shape == (2, 5)
    again = build("torchvision:mobilenet_v3_small", num_classes=5)
    assert torch.equal(weights(model), weights(again))


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [("torchvision:alexnet", 32, 3), ("torchvision:squeezenet1_0", 32, 1)],
)
def test_images_that_a_network_cannot_take(name: str, size: int, channels: int) -> None:
    sentence = f"model {name} cannot take {channels} x {size} x {size} images: "
    with pytest.raises(ValueError, match=sentence) as caught:
        build(name, size=size, channels=channels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("training", [True, False])
def test_a_check_does_not_change_the_model(training: bool) -> None:
    layers = (Standardize([0.0] * 3, [1.0] * 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten())
    model = torch.nn.Sequential(*layers).train(training)
    before = [tensor.clone() for tensor in model.state_dict().values()]
    check_input("flat", model, channels=3, size=2, num_classes=12)
    with pytest.raises(ValueError, match=r"model flat has outputs of shape \(2, 12\), not"):
        check_input("flat", model, channels=3, size=2, num_classes=10)
    assert {layer.training for layer in model.modules()} == {training}
    assert all(map(torch.equal, model.state_dict().values(), before))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("seed_cn", "seed_cnn"),
        ("resnet-18", "resnet18"),
        ("resnet50", "torchvision:resnet50"),
        ("ResNet50", "torchvision:resnet50"),
        ("resnet-50", "torchvision:resnet50"),
        ("vgg16", "torchvision:vgg16"),
        ("efficientnet-b0", "torchvision:efficientnet_b0"),
        ("torchvison:resnet50", "torchvision:resnet50"),
        ("timm:resnet_50", "timm:resnet50"),
        ("tim:seed_cnn", "seed_cnn"),
        ("torchvision:seed_cnn", "seed_cnn"),
        ("SEED_CNN", "seed_cnn"),
        ("torchvision:resnet81", "torchvision:resnet18"),
        ("torchvision:mobilenetv3_small", "torchvision:mobilenet_v3_small"),
    ],
)
def test_unknown_names_are_answered_with_the_most_similar(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f'unknown model "{name}"; did you mean "{meant}"?'):
        check_name(name)


def test_the_suggested_networks_of_torchvision_are_all_that_it_has() -> None:
    assert Torchvision.names() == TORCHVISION_NAMES


def test_unknown_names_without_a_similar_one_are_answered_with_all() -> None:
    with pytest.raises(ValueError, match="seed_cnn, seed_cnn_relu, timm:NAME, torchvision:NAME"):
        check_name("xyzzy")
    with pytest.raises(ValueError, match="unknown model"):
        build("xyzzy")
    for name in ("torchvision:NAME", "torchvision:", "torchvision:fcn_resnet50", "timm:"):
        with pytest.raises(ValueError, match="unknown model"):
            check_name(name)


def test_known_names() -> None:
    for name in [*NAMES, "torchvision:resnet50"]:
        check_name(name)


@pytest.mark.parametrize("name", NAMES)
def test_models_are_described_in_one_line(name: str) -> None:
    first = (MODELS[name].__doc__ or "").partition("\n")[0]
    assert first.endswith(".")
    assert len(first) > 20


@pytest.mark.parametrize("name", ["seed_cnn_relu", "lenet", "cifar10_3c3d"])
def test_pooling_before_the_activation_equals_the_textbook_network(name: str) -> None:
    network = build(name).get_submodule("network").eval()  # plain layers, bitwise identical
    layers = [layer for layer in network.modules() if not list(layer.children())]
    for place, layer in enumerate(list(layers)):
        if isinstance(layer, torch.nn.MaxPool2d):
            layers[place], layers[place + 1] = layers[place + 1], layer
            assert isinstance(layers[place], torch.nn.ReLU)
    textbook = torch.nn.Sequential(*layers)  # the same weights, each ReLU before its pooling
    given = torch.randn(4, 3, 32, 32)
    gradients = []
    for form in (network, textbook):
        form.zero_grad()
        torch.nn.functional.cross_entropy(form(given), torch.tensor([0, 1, 2, 3])).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert torch.equal(network(given), textbook(given))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_the_documented_costs_are_those_counted_by_torch() -> None:
    rows = re.findall(r"^\| (`.*`) \| ([\d.]+) \| ([\d,]+) \|$", PAGE.read_text(), re.MULTILINE)
    costs = {
        name: (cost, parameters.replace(",", ""))
        for names, cost, parameters in rows
        for name in re.findall("`(.*?)`", names)
    }
    assert costs.keys() == MODELS.keys()
    for name, (cost, parameters) in costs.items():
        # In training, layers of oneDNN are used, which are not counted.
        model = build(name, settings={}).eval()
        with FlopCounterMode(display=False) as counter:
            model(images())
        per_image = counter.get_total_flops() / 2 / len(images())
        assert (cost, parameters) == (f"{per_image / 1e6:.1f}", str(count(model)))
