"""The components that marked functions and classes stand for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cifar_exp.components.datasets import DatasetChoice
from cifar_exp.components.datasets.source import Contents, DataError, Source
from cifar_exp.components.datasets.split import drawn_order, published_order
from cifar_exp.components.losses import Loss
from cifar_exp.components.models import Model
from cifar_exp.components.optimizers import Optimizer
from cifar_exp.components.optimizers.base import Group
from cifar_exp.components.plugins.plugin import PluginError
from cifar_exp.components.plugins.registry import place_in_plugin
from cifar_exp.components.plugins.signature import model_of, parameters_of, require, settings_of
from cifar_exp.system.lazy_import import np, torch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cifar_exp.components.datasets.source import Allocate, Progress

SHAPE = ("channels", "size", "num_classes")


class FunctionLoss(Loss):
    """A loss that a function computes; its fields are the function's further parameters."""

    function: ClassVar[Callable[..., torch.Tensor]]
    given: ClassVar[frozenset[str]]

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return type(self).function(logits, labels, **self.model_dump(include=set(self.given)))


class TorchOptimizer(Optimizer):
    """An optimizer of a class of torch; its fields are the parameters of the class."""

    torch_class: ClassVar[Callable[..., torch.optim.Optimizer]]
    given: ClassVar[frozenset[str]]

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return type(self).torch_class(groups, lr=lr, **self.model_dump(include=set(self.given)))


class FunctionModel(Model):
    """A network that a function or class builds; its fields are their further parameters."""

    function: ClassVar[Callable[..., torch.nn.Module]]
    given: ClassVar[frozenset[str]]
    shape: ClassVar[frozenset[str]]

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        shape = {"channels": channels, "size": size, "num_classes": num_classes}
        given = {name: number for name, number in shape.items() if name in self.shape}
        settings = {name: getattr(self, name) for name in self.given}
        made = type(self).function(**given, **settings)
        if not isinstance(made, torch.nn.Module):
            kind = type(made).__name__
            raise ValueError(f"model {self.name} is not a torch.nn.Module but {kind}")
        return made


class FunctionDataset(DatasetChoice):
    """A data set that a function returns; its fields are the function's parameters."""

    function: ClassVar[Callable[..., Any]]

    given: ClassVar[frozenset[str]]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the function."""
        return self.model_dump(include=set(self.given))

    def source(self) -> Source:
        """Return the source: the function with these settings."""
        return FunctionSource(self)


class FunctionSource(Source):
    """The images and labels that a function returns.

    Args:
        choice: The data set.
    """

    def __init__(self, choice: FunctionDataset) -> None:
        self._choice = choice

    @property
    def key(self) -> str:
        """The name and the settings; the cache adds the hash of the plug-in."""
        return f"{self._choice.name} {self._choice.model_dump_json()}"

    def read(
        self,
        allocate: Allocate,
        downloads: Path,  # noqa: ARG002
        progress: Progress,
    ) -> Contents:
        """Call the function and write its images, see `Source.read`."""
        name = self._choice.name
        try:
            parts = _arrays(name, type(self._choice).function(**self._choice.arguments()))
        except DataError:
            raise
        except (Exception, SystemExit) as error:
            place = place_in_plugin(error)
            reason = f"{type(error).__name__}: {error}" + (f" ({place})" if place else "")
            raise DataError(f"data set {name}: {reason}") from error
        images, labels = (np.concatenate(arrays) for arrays in (parts[::2], parts[1::2]))
        classes = tuple(str(label) for label in range(int(labels.max()) + 1))
        if len(parts) == 2:
            order = drawn_order(labels, val=0.1, test=0.2, classes=classes)
        else:
            order = published_order(labels, (len(parts[1]), 0, len(parts[3])), classes)
        _, size, _, channels = images.shape
        allocate(len(images), size, channels)[:] = images[order.rows]
        progress("making images", len(images), len(images))
        return Contents(classes=classes, labels=labels[order.rows], counts=order.counts)


def _arrays(name: str, returned: Any) -> list[NDArray[Any]]:
    """Return images and labels as arrays, and check them.

    Raises:
        DataError: They are not what `marks.dataset` says.
    """
    if not isinstance(returned, tuple) or len(returned) not in (2, 4):
        raise DataError(
            f"data set {name} does not return images, labels or images, labels, test_images, "
            f"test_labels, but {type(returned).__name__}"
        )
    arrays = [np.asarray(part) for part in returned]
    for images, labels in zip(arrays[::2], arrays[1::2], strict=True):
        shape = images.shape
        if images.dtype != np.uint8 or images.ndim != 4 or shape[1] != shape[2] or not images.size:
            raise DataError(
                f"data set {name} returns images of type {images.dtype} and shape {shape}, not "
                "uint8 N x H x W x channels with H = W"
            )
        if labels.shape != shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise DataError(
                f"data set {name} returns labels of type {labels.dtype} and shape {labels.shape}, "
                f"not {len(images)} integers from 0"
            )
    largest = max(int(labels.max()) for labels in arrays[1::2])
    if not 1 <= largest < len(arrays[1]):
        raise DataError(
            f"data set {name} returns labels up to {largest} for {len(arrays[1])} training images: "
            "they count the classes from 0, and there are at least two"
        )
    if len(arrays) == 4 and arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise DataError(f"data set {name} returns test images of another shape")
    return [a if number % 2 == 0 else a.astype(np.int64) for number, a in enumerate(arrays)]


def loss_of(function: Any, name: str, module: str) -> type[Loss]:
    """Return the loss that a marked function computes."""
    parameters = parameters_of(function)
    require(parameters, ("logits", "labels"))
    fields = settings_of(parameters, ("logits", "labels"))
    model = model_of(FunctionLoss, fields, name=name, module=module, doc=function.__doc__)
    model.name, model.given = name, frozenset(fields)
    model.function = staticmethod(function)
    return model


def optimizer_of(torch_class: Any, name: str, module: str) -> type[Optimizer]:
    """Return the optimizer of a marked class."""
    if not (inspect.isclass(torch_class) and issubclass(torch_class, torch.optim.Optimizer)):
        raise PluginError("it is not a subclass of torch.optim.Optimizer")
    parameters = parameters_of(torch_class)
    require(parameters, ("params", "lr"))
    fields = settings_of(parameters, ("params", "lr"))
    model = model_of(TorchOptimizer, fields, name=name, module=module, doc=torch_class.__doc__)
    model.name, model.given = name, frozenset(fields)
    model.torch_class = torch_class
    return model


def network_of(network: Any, name: str, module: str) -> type[Model]:
    """Return the network that a marked class or function builds."""
    parameters = parameters_of(network)
    require(parameters, ("num_classes",))
    fields = settings_of(parameters, SHAPE)
    model = model_of(FunctionModel, fields, name=name, module=module, doc=network.__doc__)
    model.name, model.given = name, frozenset(fields)
    model.function, model.shape = staticmethod(network), frozenset(SHAPE) & parameters.keys()
    return model


def dataset_of(function: Any, name: str, module: str) -> type[DatasetChoice]:
    """Return the data set that a marked function returns."""
    fields = settings_of(parameters_of(function), ())
    model = model_of(FunctionDataset, fields, name=name, module=module, doc=function.__doc__)
    model.name, model.given = name, frozenset(fields)
    model.function = staticmethod(function)
    return model


FORMS: Mapping[str, Callable[[Any, str, str], Any]] = {
    "losses": loss_of,
    "optimizers": optimizer_of,
    "models": network_of,
    "datasets": dataset_of,
}
"""Returns the component of a marked object by kind, from its name and that of its module."""
