"""Optimizers of libraries: `timm:NAME` and `pytorch_optimizer:NAME`.

Their settings are the parameters of the library's class that are numbers, truth values or texts. A
pair or triple of numbers, such as `betas`, is one setting for each: `beta1`, `beta2`.
"""

from __future__ import annotations

import importlib
import inspect
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import Field, create_model

from cifar_exp.components.optimizers.base import DecayingOptimizer, Group, Optimizer
from cifar_exp.components.validation import unknown
from cifar_exp.system.lazy_import import torch

NotNegative = Annotated[float, Field(ge=0)]

GIVEN = ("self", "params", "lr")
PLAIN = (bool, int, float, str)
NOT_SETTINGS = (
    *("foreach", "fused", "capturable", "differentiable", "maximize"),
    *("name", "type", "clip", "sam"),
)
"""Parameters of how a step is computed, and those whose names have another meaning."""

GRAPH = "needs the graph of the gradient (create_graph)"
CLOSURE = "needs a closure that computes the loss again"
MODEL = "needs the network, not its parameters"
MUON = "needs the groups of parameters that Muon updates; there is `muon`"
OWN_RATE = "does not use the learning rate"
LOW_RANK = "needs groups of low rank; without them its steps are those of Adam"
LAYOUT = "needs contiguous weights; those of convolutions are stored channels last"
CUDA = "needs a package for CUDA alone (bitsandbytes or apex)"

UNSUITABLE: Mapping[str, str] = {
    **dict.fromkeys(("timm:adahessian", "pytorch_optimizer:adahessian"), GRAPH),
    "pytorch_optimizer:sophiah": GRAPH,
    **dict.fromkeys(("pytorch_optimizer:alig", "pytorch_optimizer:lbfgs"), CLOSURE),
    **{f"pytorch_optimizer:{name}": MODEL for name in ("adalomo", "adammini", "lomo")},
    **{
        f"pytorch_optimizer:{name}": MUON
        for name in ("adago", "adamuon", "distributedmuon", "muon", "muonclip", "normuon")
    },
    "pytorch_optimizer:bsam": "needs the number of images",
    "pytorch_optimizer:ranger21": "needs the number of steps",
    "pytorch_optimizer:demo": "needs several processes, and the package einops",
    **dict.fromkeys(("pytorch_optimizer:a2grad", "pytorch_optimizer:adafactor"), OWN_RATE),
    **{f"pytorch_optimizer:{name}": LOW_RANK for name in ("apollo", "fira", "galore")},
    **{f"pytorch_optimizer:{name}": LAYOUT for name in ("adamp", "nero", "sgdp", "swats")},
    "pytorch_optimizer:lorarite": "updates pairs of matrices of a low rank",
    "pytorch_optimizer:spectralsphere": "updates weights of two dimensions alone",
}
"""The optimizers that need what this training does not give them, and why."""

NOT_FREE = ("pytorch_optimizer:fromage",)
"""The usable optimizers whose licence, CC BY-NC-SA, excludes commercial use."""


class LibraryOptimizer(Optimizer):
    """An optimizer of a library; its fields are the parameters of the library's class."""

    torch_class: ClassVar[Any]
    """The library's class; pydantic would import torch to evaluate its type."""
    bound: ClassVar[Mapping[str, Any]]
    """Arguments that the library binds to the name."""
    tuples: ClassVar[Mapping[str, tuple[str, ...]]]
    """The settings that a parameter is made of, by its name."""

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        values = dict(self)  # not attributes: some have the name of a property
        single = {name: values[name] for name in self._own_fields()}
        joined = {
            name: tuple(single.pop(part) for part in parts) for name, parts in self.tuples.items()
        }
        arguments = {**self.bound, **single, **joined}
        optimizer: torch.optim.Optimizer = type(self).torch_class(groups, lr=lr, **arguments)
        return optimizer

    @classmethod
    def _own_fields(cls) -> list[str]:
        """Return the names of the settings that the library's class has."""
        return [name for name in cls.model_fields if name not in Optimizer.model_fields]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name and the settings, as the class is made when it is first named."""
        return _rebuilt, (self.name, dict(self))


class DecayingLibraryOptimizer(LibraryOptimizer, DecayingOptimizer):
    """An optimizer of a library with weight decay, which is set in the parameter groups."""

    @classmethod
    def _own_fields(cls) -> list[str]:
        return [name for name in super()._own_fields() if name != "decay_bias"]


class Library(ABC):
    """A library of optimizers."""

    module: ClassVar[str]
    extra: ClassVar[str]
    """The extra of this package that installs it."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all optimizers."""

    @abstractmethod
    def find(self, name: str) -> tuple[type[torch.optim.Optimizer], Mapping[str, Any]]:
        """Return the class of an optimizer, and the arguments that belong to the name."""

    def imported(self) -> Any:
        """Return the library's module.

        Raises:
            ValueError: It is not installed.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            message = f"needs a package: pip install 'cifar_exp[{self.extra}]' ({error})"
            raise ValueError(message) from None


class Timm(Library):
    """The optimizers of timm."""

    module = "timm.optim"
    extra = "timm"

    def names(self) -> list[str]:
        """Return the names of all optimizers."""
        names: list[str] = self.imported().list_optimizers()
        return names

    def find(self, name: str) -> tuple[type[torch.optim.Optimizer], Mapping[str, Any]]:
        """Return the class of an optimizer, and the arguments that belong to the name."""
        info = self.imported().get_optimizer_info(name)
        usual = {"momentum": 0.9} if info.has_momentum else {}  # as in its create_optimizer_v2
        return info.opt_class, {**usual, **(info.defaults or {})}


class PytorchOptimizer(Library):
    """The optimizers of pytorch_optimizer."""

    module = "pytorch_optimizer"
    extra = "pytorch_optimizer"

    def names(self) -> list[str]:
        """Return the names of all optimizers."""
        names: list[str] = self.imported().get_supported_optimizers()
        return names

    def find(self, name: str) -> tuple[type[torch.optim.Optimizer], Mapping[str, Any]]:
        """Return the class of an optimizer; no arguments belong to a name."""
        return self.imported().load_optimizer(name), {}


LIBRARIES: Mapping[str, Library] = {"timm:": Timm(), "pytorch_optimizer:": PytorchOptimizer()}
"""The libraries of optimizers by prefix."""


class OptimizerTable(dict[str, type[Optimizer]]):
    """The optimizers by name; those of libraries are found when they are named."""

    def __contains__(self, name: object) -> bool:
        """Return whether there is an optimizer of this name, also in a library."""
        return super().__contains__(name) or (isinstance(name, str) and _is_in_library(name))

    def __missing__(self, name: str) -> type[Optimizer]:
        """Return an optimizer of a library.

        Raises:
            KeyError: There is none.
        """
        if not _is_in_library(name):
            raise KeyError(name)
        return _class_of(name)


def library_of(name: str) -> tuple[Library, str] | None:
    """Return the library that the prefix of a name belongs to, and the name there."""
    for prefix, library in LIBRARIES.items():
        if name.startswith(prefix):
            return library, name.removeprefix(prefix)
    return None


def check_name(name: str) -> None:
    """Check an optimizer that is named by the prefix of a library.

    Raises:
        ValueError: The library is not installed, or has no such optimizer, or the optimizer needs
            what this training does not give it.
    """
    found = library_of(name)
    if found is None:
        return
    library, own_name = found
    names = library.names()
    if own_name not in names:
        prefix = name.removesuffix(own_name)
        raise ValueError(unknown("optimizer", name, [f"{prefix}{each}" for each in names]))
    if reason := reason_against(name):
        raise ValueError(f"optimizer {name} {reason}")


def reason_against(name: str) -> str | None:
    """Return what an optimizer of a library needs that this training does not give it."""
    found = library_of(name)
    if found is None:
        return None
    library, own_name = found
    is_text = isinstance(library.find(own_name)[0], str)  # timm's, if the package is missing
    return CUDA if is_text else UNSUITABLE.get(name)


def _is_in_library(name: str) -> bool:
    try:
        check_name(name)
    except ValueError:
        return False
    return library_of(name) is not None


@cache
def _class_of(name: str) -> type[Optimizer]:
    found = library_of(name)
    assert found is not None
    library, own_name = found
    torch_class, bound = library.find(own_name)
    fields, tuples = _fields(torch_class, bound)
    base = DecayingLibraryOptimizer if "weight_decay" in fields else LibraryOptimizer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic warns of fields that hide attributes
        model = create_model(name, __base__=base, __doc__=_doc(name, torch_class), **fields)
    model.name, model.torch_class = name, torch_class
    model.bound = {key: value for key, value in bound.items() if key not in fields}
    model.tuples = tuples
    return model


def _fields(
    torch_class: type[torch.optim.Optimizer], bound: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Return the fields of a settings model, and the tuples that some of them make up."""
    fields: dict[str, Any] = {}
    tuples: dict[str, tuple[str, ...]] = {}
    for name, parameter in inspect.signature(torch_class.__init__).parameters.items():
        if name in GIVEN or name in NOT_SETTINGS:
            continue
        default = bound.get(name, parameter.default)
        if default in (math.inf, -math.inf):  # no value of a definition: the library's own is used
            continue
        if type(default) in PLAIN:
            fields[name] = _typed(name, default, str(parameter.annotation))
        elif isinstance(default, tuple) and default and all(map(_is_number, default)):
            stem = name.removesuffix("s")
            tuples[name] = tuple(f"{stem}{number}" for number in range(1, len(default) + 1))
            parts = zip(tuples[name], default, strict=True)
            fields |= {part: _typed(part, value, "float") for part, value in parts}
    return fields, tuples


def _typed(name: str, default: Any, annotation: str) -> tuple[Any, Any]:
    """Return type and default of a setting."""
    if name == "weight_decay":
        return NotNegative, float(default)
    is_float = type(default) is int and "float" in annotation
    return (float, float(default)) if is_float else (type(default), default)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _doc(name: str, torch_class: type) -> str:
    return f"{torch_class.__name__} of {name.partition(':')[0]}."


def _rebuilt(name: str, settings: Mapping[str, Any]) -> Optimizer:
    return _class_of(name).model_validate(settings)
