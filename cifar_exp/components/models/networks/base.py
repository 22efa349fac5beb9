"""The base class of networks."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_serializer, model_validator

from cifar_exp.components.datasets.source import Place
from cifar_exp.components.settings import Settings
from cifar_exp.components.table import Component
from cifar_exp.system.lazy_import import torch


class Model(Settings, Component):
    """A network and its settings.

    A definition writes it as its name, or as a table with its `type` and settings.
    """

    weights: Place | None = Field(
        default=None, description="pretrained weights: a file in safetensors format"
    )
    head: Literal["linear", "cosine"] = Field(
        default="linear",
        description="the last layer: linear, or the cosines of the angles between features and the "
        "weights of each class",
    )
    frozen: bool = Field(
        default=False, description="train only the last layer, on pretrained weights"
    )

    _weights_digest: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _frozen_has_weights(self) -> Self:
        if self.frozen and self.weights is None:
            raise ValueError("frozen needs pretrained weights")
        return self

    @property
    def type(self) -> str:
        """The name in a definition, with the prefix of the library."""
        return self.name

    @abstractmethod
    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, with random weights from torch's global generator.

        It maps standardised images, N x channels x size x size float32, to N x num_classes logits.

        Raises:
            ValueError: The network cannot take images of this shape.
        """

    def initialise(self, model: torch.nn.Module, images: torch.Tensor) -> None:
        """Set weights that depend on the training images; most networks have none.

        Args:
            model: A Sequential of `standardize` and the untrained `network`.
            images: The training images, N x C x H x W uint8.
        """

    def params(self) -> dict[str, Any]:
        """Return the settings by name; those of every network only if they are not the default."""
        own = type(self).model_fields.keys() - Model.model_fields.keys()
        return {name: value for name, value in self if name in own or value != _default(self, name)}

    def changed(self) -> dict[str, Any]:
        """Return the settings that are not the default, as a definition writes them."""
        return {name: value for name, value in self if value != _default(self, name)}

    def identity(self) -> str | dict[str, Any]:
        """Return what results depend on: name and settings, and the content of a file of weights.

        Raises:
            OSError: The file cannot be read.
        """
        dumped: str | dict[str, Any] = self.model_dump(mode="json")
        return dumped if isinstance(dumped, str) else {**dumped, **self._counted_weights()}

    def _counted_weights(self) -> dict[str, str]:
        """Return the hash of the file of weights, as it was at the first call."""
        if self.weights is None:
            return {}
        if self._weights_digest is None:
            with self.weights.expanduser().open("rb") as file:
                self._weights_digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"weights": self._weights_digest}

    @property
    def weights_digest(self) -> str | None:
        """The hash of the file of weights in the identity; None if that was not computed yet."""
        return self._weights_digest

    @model_serializer
    def _written(self) -> str | dict[str, Any]:
        """Return the name, or with changed settings the table."""
        changed = self.changed()
        if self.weights is not None:
            changed["weights"] = str(self.weights)
        return {"type": self.type, **changed} if changed else self.type


def _default(model: Model, name: str) -> Any:
    return type(model).model_fields[name].default


class LibraryModel(Model):
    """A network of a library, named by the prefix of the library and its name there."""

    prefix: ClassVar[str]
    """The prefix in a definition, such as `torchvision:`."""

    architecture: str
    """The name in the library, which follows from the name in a definition."""

    @classmethod
    @abstractmethod
    def names(cls) -> list[str]:
        """Return the names of all networks of the library.

        Raises:
            ValueError: The library is not installed.
        """

    @property
    def type(self) -> str:
        """The name in a definition, with the prefix of the library."""
        return f"{self.prefix}{self.architecture}"

    def params(self) -> dict[str, Any]:
        """Return the settings by name, see `Model.params`."""
        return _without_architecture(super().params())

    def changed(self) -> dict[str, Any]:
        """Return the settings that are not the default, as a definition writes them."""
        return _without_architecture(super().changed())


def _without_architecture(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "architecture"}
