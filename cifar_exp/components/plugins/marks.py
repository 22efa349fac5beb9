"""Decorators that mark the components of a plug-in. They import nothing of this package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

MARK = "__cifar_exp_kind__"
"""The attribute that holds the kind of a marked function or class."""

LINES = "__cifar_exp_lines__"
"""The variable of a module that holds the lines of its marks, by kind and name."""

Marked = TypeVar("Marked", bound=Callable[..., Any])


def loss(function: Marked) -> Marked:
    """Mark a function as a loss: `def my_loss(logits, labels, gamma: float = 2.0)`.

    It gets logits N x C and int64 labels N, and returns one value for each image (N). Further
    parameters are its settings.
    """
    return _marked(function, "losses")


def optimizer(torch_class: Marked) -> Marked:
    """Mark a subclass of `torch.optim.Optimizer`.

    Its parameters except `params` and `lr` are settings. Its `step` is called without a closure.
    """
    return _marked(torch_class, "optimizers")


def network(builder: Marked) -> Marked:
    """Mark a `torch.nn.Module`, or a function that builds one.

    It is called with those of `num_classes`, `channels` and `size` that it has as parameters. The
    network maps float32 images N x channels x size x size, of mean 0 and variance 1, to logits
    N x num_classes.
    """
    return _marked(builder, "models")


def dataset(function: Marked) -> Marked:
    """Mark a function that returns images and labels; its parameters are settings.

    Images are uint8 arrays N x H x W x channels with H = W, labels are integers from 0. It returns
    `images, labels`, split by class into 70 % for training, 10 % for validation and 20 % for test,
    or `images, labels, test_images, test_labels`, where a tenth of the first is for validation.
    """
    return _marked(function, "datasets")


def _marked(component: Marked, kind: str) -> Marked:
    setattr(component, MARK, kind)
    # A second definition replaces the first in the module, but not its line here.
    caller = sys._getframe(2)
    lines = caller.f_globals.setdefault(LINES, {})
    lines.setdefault((kind, component.__name__), []).append(caller.f_lineno)
    return component
