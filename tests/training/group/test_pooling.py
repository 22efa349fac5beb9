"""Bias, pooling and activation as one operation, against torch, in Triton's interpreter."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from cifar_exp.components.models import read_model
from cifar_exp.system.lazy_import import LazyModule
from cifar_exp.training.group import layers, network, pooling
from cifar_exp.training.group.network import stack
from cifar_exp.training.group.pooling import Window
from tests.training.group.test_network import images_of, networks_of

SHAPES = [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 2)), ((2, 2), (3, 3))]


def kernels(name: str) -> ModuleType:
    """Load the kernels as a second module; the original one is not changed."""
    pytest.importorskip("triton")
    path = Path(pooling.__file__).with_name("pooling_kernel.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kernel() -> ModuleType:
    """The kernels for CPU tensors."""
    pytest.importorskip("triton")  # imported before, it does not use the interpreter
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        return kernels("interpreted_kernel")


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Treat channels-last images as images on a GPU with certain kernels."""

    def use(module: object) -> None:
        monkeypatch.setattr(pooling, "pooling_kernel", module)

    def are_on_gpu(images: torch.Tensor) -> bool:
        return images.is_contiguous(memory_format=torch.channels_last)

    monkeypatch.setattr(pooling, "_are_on_gpu", are_on_gpu)
    monkeypatch.setattr(pooling, "_is_right", {})
    return use


def features_of(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and biases: every pair of channels is another special case."""
    random = torch.Generator().manual_seed(height * 10 + width)
    drawn = torch.randn(7, 2, 2, height, width, generator=random)
    whole = torch.randint(-1, 2, (2, 2, height, width), generator=random).float()
    rare = torch.rand(2, 2, height, width, generator=random) < 0.1
    channels = [
        *(drawn[0], whole, whole - 1, -drawn[1].abs(), torch.full_like(rare, 0.5).float()),
        *(drawn[2].where(~rare, torch.nan), drawn[3].where(~rare, -torch.inf)),
        *(torch.full_like(drawn[4], -torch.inf), torch.full_like(drawn[4], torch.nan), drawn[5]),
    ]
    bias = torch.randn(20, generator=random)
    bias[2:10] = torch.tensor([0, 1, -1, 0, 1, 0, -0.5, -1])
    bias[18:] = torch.tensor([torch.inf, -torch.inf])
    return torch.cat(channels, 1).contiguous(memory_format=torch.channels_last), bias


def gradients_of(
    output: torch.Tensor, inputs: list[torch.Tensor], whole: bool
) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    gradient = torch.randn(output.shape, generator=random).to(output.dtype)
    gradient = gradient.round() if whole else gradient
    return torch.autograd.grad(output, inputs, gradient)


def compare(
    kernel: ModuleType,
    window: Window,
    features: torch.Tensor,
    bias: torch.Tensor,
    rtol: float = 0.0,
) -> None:
    """Compare with torch on the same sums in float32."""
    inputs = [features.clone().requires_grad_(), bias.clone().requires_grad_()]
    references = [features.float().requires_grad_(), bias.clone().requires_grad_()]
    found = kernel.bias_pool(*inputs, window)
    sums = references[0] + references[1][:, None, None]
    expected = functional.max_pool2d(sums, window.size, window.stride, ceil_mode=window.ceil_mode)
    expected = torch.relu(expected) if window.relu else expected
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=rtol, atol=0, equal_nan=True)
    own, own_bias = gradients_of(found, inputs, whole=rtol > 0)
    true, true_bias = gradients_of(expected, references, whole=rtol > 0)
    torch.testing.assert_close(own, true.to(own.dtype), rtol=rtol, atol=0, equal_nan=True)
    torch.testing.assert_close(own_bias, true_bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(("size", "stride"), SHAPES)
def test_outputs_and_gradients_are_those_of_torch_bit_by_bit(
    kernel: ModuleType, size: tuple[int, int], stride: tuple[int, int], relu: bool
) -> None:
    for ceil_mode in (True, False):
        compare(kernel, Window(size, stride, ceil_mode, relu), *features_of(7, 5))


@pytest.mark.parametrize(("size", "stride"), SHAPES[:2])
def test_bfloat16_is_rounded_once(
    kernel: ModuleType, size: tuple[int, int], stride: tuple[int, int]
) -> None:
    """The interpreter truncates where a GPU rounds; gradients that are whole numbers are exact."""
    features, bias = features_of(7, 5)
    window = Window(size, stride, ceil_mode=True, relu=True)
    compare(kernel, window, features.bfloat16().contiguous(), bias, rtol=2**-7)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=15, deadline=None)
@given(pairs, pairs, st.booleans(), st.booleans(), pairs, st.data())
def test_any_small_window_gives_the_result_of_torch(
    kernel: ModuleType,
    size: tuple[int, int],
    stride: tuple[int, int],
    ceil_mode: bool,
    relu: bool,
    more: tuple[int, int],
    data: st.DataObject,
) -> None:
    shape = (2, 3, size[0] + more[0] - 1, size[1] + more[1] - 1)
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    features = torch.randint(-2, 3, shape, generator=random).float()
    bias = torch.randint(-1, 2, (3,), generator=random).float()
    compare(kernel, Window(size, stride, ceil_mode, relu), features, bias)


def test_nothing_outside_the_outputs_is_written(kernel: ModuleType) -> None:
    window = Window((3, 3), (2, 2), ceil_mode=True, relu=True)
    features, bias = features_of(7, 5)
    guarded: list[torch.Tensor] = []

    def empty(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        inner = torch.Size(shape).numel()
        guarded.append(torch.full((inner + 4096,), 77, dtype=dtype))
        images, channels, height, width = shape
        flat = guarded[-1][2048 : 2048 + inner]
        return flat.view(images, height, width, channels).permute(0, 3, 1, 2)

    pooled, winners = empty((2, 20, 3, 2)), empty((2, 20, 3, 2), torch.int8)
    kernel._launch_pool(features, bias, pooled, winners, window)
    kernel._launch_spread(pooled, winners, empty((2, 20, 7, 5)), empty((2, 20, 3, 2)), window)
    for tensor in guarded:
        assert (tensor[:2048] == 77).all()
        assert (tensor[-2048:] == 77).all()
        assert not (tensor[2048:-2048] == 77).any()


def test_the_kernels_compile_for_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {"size_y": 3, "size_x": 3, "stride_y": 2, "stride_x": 2, "relu": True}
    constants |= {"in_tile": 8, "num_channels": 128}
    types = {"bias": "*fp32", "winners": "*i8"} | dict.fromkeys(constants, "constexpr")
    types |= dict.fromkeys(("features", "pooled", "gradient", "of_features", "masked"), "*bf16")
    compiled = kernels("compiled_kernel")
    for function in (compiled._pool, compiled._spread):
        signature = {name: types.get(name, "i32") for name in function.arg_names}
        source = ASTSource(function, signature, constants)
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]


def test_the_sizes_of_outputs_are_those_of_torch() -> None:
    sizes = itertools.product(range(1, 4), range(1, 4), [True, False], range(1, 9))
    for size, stride, ceil_mode, length in sizes:
        if length >= size or (ceil_mode and length > size - stride):
            image = torch.zeros(1, 1, length, 8)
            expected = functional.max_pool2d(image, (size, 1), (stride, 2), ceil_mode=ceil_mode)
            window = Window((size, 1), (stride, 2), ceil_mode, relu=False)
            assert window.outputs(length, 8) == expected.shape[2:]


@pytest.mark.parametrize(
    ("pool", "activation"),
    [
        (nn.MaxPool2d(2, padding=1), nn.ReLU()),
        (nn.MaxPool2d(2, dilation=2), nn.ReLU()),
        (nn.MaxPool2d(2, return_indices=True), nn.ReLU()),
        (nn.MaxPool2d(5), nn.ReLU()),
        (nn.MaxPool2d(2), nn.Tanh()),
        (nn.AvgPool2d(2), nn.ReLU()),
    ],
)
def test_other_layers_are_not_changed(pool: nn.Module, activation: nn.Module) -> None:
    stacked = stack([nn.Sequential(nn.Conv2d(3, 4, 3), pool, activation)] * 2)
    assert [type(layer) for layer in stacked] == [  # type: ignore[attr-defined]
        layers.StackedConv2d,
        type(pool),
        type(activation),
    ]


def trained(stacked: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return outputs and gradients in training."""
    outputs = stacked(images)
    gradients = torch.autograd.grad(outputs.square().sum(), list(stacked.parameters()))
    return [outputs.detach(), *gradients]


def plain_stack(networks: list[nn.Module]) -> nn.Module:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_join_poolings", lambda *_: None)
        return stack(networks)


@pytest.mark.parametrize("model", ["seed_cnn", "lenet", "cifar10_3c3d"])
def test_on_a_cpu_results_and_names_are_identical(model: str) -> None:
    networks, images = networks_of(read_model(model)), images_of()
    joined = stack(networks)
    assert list(joined.state_dict()) == list(networks[0].state_dict())
    assert sum(isinstance(m, layers.StackedPooledConv2d) for m in joined.modules()) >= 2
    expected = trained(plain_stack(networks), images)
    assert all(map(torch.equal, trained(joined, images), expected))
    assert "cifar_exp.training.group.pooling_kernel" not in sys.modules or torch.cuda.is_available()


@pytest.mark.parametrize("autocast", [True, False])
def test_a_stack_trains_with_the_operation(
    kernel: ModuleType, on_gpu: Callable[[object], None], autocast: bool
) -> None:
    on_gpu(kernel)
    networks, images = networks_of(read_model("lenet"))[:2], images_of()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = trained(stack(networks), images)
        on_gpu(None)
        expected = trained(plain_stack(networks), images)
    assert list(pooling._is_right.values()) == [True, True]
    assert {key[1] for key in pooling._is_right} == {torch.bfloat16 if autocast else torch.float32}
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() <= (0.1 if autocast else 1e-5) * other.norm()


class Wrong:
    """Kernels with a wrong gradient for one of the inputs."""

    def __init__(self, kernel: ModuleType, features: float, bias: float) -> None:
        self._kernel, self._factors = kernel, (features, bias)

    def bias_pool(self, features: torch.Tensor, bias: torch.Tensor, window: Window) -> torch.Tensor:
        for tensor, factor in zip((features, bias), self._factors, strict=True):
            tensor.register_hook(lambda gradient, factor=factor: gradient * factor)
        pooled: torch.Tensor = self._kernel.bias_pool(features, bias, window)
        return pooled


class Raises:
    """Kernels that cannot be compiled, or fail after some calls."""

    def __init__(self, kernel: Any, error: Exception, num_calls: int) -> None:
        self._kernel, self._error, self._left = kernel, error, num_calls

    def bias_pool(self, *arguments: Any) -> torch.Tensor:
        if not self._left:
            raise self._error
        self._left -= 1
        pooled: torch.Tensor = self._kernel.bias_pool(*arguments)
        return pooled


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: LazyModule("triton_that_is_not_installed"),
        lambda kernel: Wrong(kernel, 1.1, 1),
        lambda kernel: Wrong(kernel, 1, torch.nan),
        lambda kernel: Raises(kernel, RuntimeError("no compiler"), 0),
        lambda kernel: Raises(kernel, RuntimeError("no memory for a launch"), 1),
    ],
    ids=["missing", "gradient", "nan", "raises", "raises later"],
)
def test_plain_layers_replace_a_broken_operation_with_one_warning(
    broken: Callable[[ModuleType], object],
    kernel: ModuleType,
    on_gpu: Callable[[object], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    on_gpu(broken(kernel))
    networks, images = networks_of(read_model("lenet"))[:2], images_of()
    expected = trained(plain_stack(networks), images)
    stacked = stack(networks)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert all(map(torch.equal, trained(stacked, images), expected))
    assert [record.name for record in caplog.records] == ["cifar_exp.training.group.pooling"]


def test_out_of_memory_does_not_disable_the_operation(on_gpu: Callable[[object], None]) -> None:
    on_gpu(Raises(None, torch.OutOfMemoryError(), 0))
    with pytest.raises(torch.OutOfMemoryError):
        trained(stack(networks_of(read_model("lenet"))), images_of())
    assert not pooling._is_right


def test_the_operation_is_not_used_where_it_was_not_verified(
    on_gpu: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In evaluation, another layout, torch.compile, or a capture without a comparison before."""
    on_gpu(Raises(None, AssertionError("it is used"), 0))
    networks: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU())] * 2
    images, stacked = images_of().float(), stack(networks)
    stacked.eval()(images)
    stacked.train()(images.contiguous())
    torch.compile(stacked, backend="eager", fullgraph=True)(images)
    monkeypatch.setattr(pooling, "_is_captured", lambda _: True)
    expected = trained(plain_stack(networks), images)
    assert all(map(torch.equal, trained(stacked, images), expected))
    assert not pooling._is_right
