"""The base class of losses: mean over the batch and map to probabilities."""

from __future__ import annotations

from abc import abstractmethod
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from cifar_exp.components.losses.context import Context, Need
from cifar_exp.components.settings import Later, Settings
from cifar_exp.components.table import Component
from cifar_exp.system.lazy_import import torch


def _read_weights(raw: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Validate class weights with a single error, instead of one per type of the union."""
    try:
        return handler(raw)
    except ValueError:
        message = 'should be "none", "balanced" or a list of a number above 0 for each class'
        raise PydanticCustomError("class_weights", message) from None


Weight = Annotated[float, Field(gt=0)]
ClassWeights = Annotated[
    Literal["none", "balanced"] | Annotated[tuple[Weight, ...], Field(strict=False, min_length=1)],
    WrapValidator(_read_weights),
    Later(),
]


class Loss(Settings, Component):
    """A loss and its settings; `loss(logits, targets, context)` is the mean over a batch of images.

    In the formulas, z are the logits of one image, p = softmax(z), y is its label, Y the label as a
    one-hot vector and C the number of classes. A loss overrides `_per_image`, or `_in_context` if
    it `needs` more than logits and labels, and `_per_distribution` if it has a form for mixed
    labels.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    """What the loss uses of the context; empty for a loss of logits and labels alone."""

    takes_cosines: ClassVar[bool] = False
    """Whether the logits have to be cosines, those of a network with `head = "cosine"`."""

    class_weights: ClassWeights = Field(
        default="none",
        description="factor of an image's loss by its class: a list, or balanced, which is "
        "(images / classes) / images of the class",
    )

    def __call__(
        self, logits: torch.Tensor, targets: torch.Tensor, context: Context | None = None
    ) -> torch.Tensor:
        """Return the mean loss of a batch, in the dtype of the logits.

        Args:
            logits: N x C, floating point.
            targets: Labels: N, int64, from 0 to C - 1; or shares of the classes, as mixup makes
                them: N x C, with sum 1.
            context: The training around the batch, for losses that need it.
        """
        return self.per_image(logits, targets, context).mean()

    def per_image(
        self, logits: torch.Tensor, targets: torch.Tensor, context: Context | None = None
    ) -> torch.Tensor:
        """Return the loss of each image (N), in the dtype of the logits (N x C)."""
        if targets.ndim > 1:
            return self._of_mixed(logits, targets)
        if self.needs:
            losses = self._in_context(logits, targets, self._required(context))
        else:
            losses = self._per_image(logits, targets)
        return losses if self.class_weights == "none" else self._weighted(losses, targets, context)

    @abstractmethod
    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image (N)."""

    def _in_context(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        context: Context,  # noqa: ARG002
    ) -> torch.Tensor:
        """Return the loss of each image (N), for a loss that declares `needs`."""
        return self._per_image(logits, labels)

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image (N) for shares of the classes (N x C) in place of Y."""
        raise NotImplementedError(f"{self.name} has no form for mixed labels")

    @classmethod
    def takes_mixed_labels(cls) -> bool:
        """Return whether there is a form for shares of the classes in place of a label."""
        return cls._per_distribution is not Loss._per_distribution

    def _of_mixed(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        if self.class_weights != "none":
            raise NotImplementedError("class weights have no form for mixed labels")
        return self._per_distribution(logits, shares)

    def new_memory(self, rows: int, num_classes: int, device: torch.device) -> torch.Tensor:
        """Return the memory of the loss before the first step; empty if it needs none."""
        return torch.zeros(rows if "memory" in self.needs else 0, num_classes, device=device)

    def _weighted(
        self, losses: torch.Tensor, labels: torch.Tensor, context: Context | None
    ) -> torch.Tensor:
        """Multiply the loss of each image by the weight of its class.

        The mean is over images, not divided by the sum of their weights as in torch: the loss of an
        image does not depend on its batch.
        """
        if isinstance(self.class_weights, tuple):
            weights = _on_device(self.class_weights, losses.device)
        else:
            counts = self._required(context).class_counts
            weights = counts.sum() / (len(counts) * counts.clamp(min=1))
        return losses * weights.to(losses.dtype).index_select(0, labels)

    def _required(self, context: Context | None) -> Context:
        if context is None:
            raise ValueError(f"the loss {self.name} needs the context of the training")
        return context

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits to class probabilities, which sum to 1: the softmax.

        Args:
            logits: N x C, or M x C x N of M networks; dimension 1 is that of the classes.
        """
        return torch.softmax(logits, dim=1)

    @property
    def is_softmax(self) -> bool:
        """Whether the map is the softmax, which is the same for all such losses."""
        return type(self).probabilities is Loss.probabilities


@cache
def _on_device(weights: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return the weights of classes, which are copied to a device once.

    A step that copies from the host cannot be captured as a CUDA graph.
    """
    return torch.tensor(weights, device=device)


def one_hot(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return one-hot labels in the shape and dtype of the logits."""
    return torch.zeros_like(logits).scatter_(1, labels.unsqueeze(1), 1.0)


def label_log_probability(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return ln p_y of each image (N)."""
    return -torch.nn.functional.cross_entropy(logits, labels, reduction="none")
