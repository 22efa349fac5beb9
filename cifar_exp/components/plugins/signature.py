"""The settings of a component that follow from the parameters of a function or class."""

from __future__ import annotations

import inspect
import types
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError, create_model

from cifar_exp.components.plugins.plugin import PluginError
from cifar_exp.components.settings import Settings
from cifar_exp.components.validation import problems_of

PLAIN = (bool, int, float, str)
"""The types of settings; a Literal of their values is one, too."""
NO_SETTINGS = ("type", "name", "lr")
"""Names that have another meaning in a definition."""

Base = TypeVar("Base", bound=Settings)
Parameters = Mapping[str, inspect.Parameter]


def parameters_of(called: Callable[..., Any]) -> Parameters:
    """Return the parameters of a function or class, with evaluated annotations.

    Raises:
        PluginError: An annotation has an unknown name.
    """
    try:
        signature = inspect.signature(called, eval_str=True)
    except (NameError, SyntaxError, AttributeError, TypeError, ValueError) as error:
        raise PluginError(f"its parameters cannot be read ({error})") from error
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: p for name, p in signature.parameters.items() if p.kind not in variadic}


def require(parameters: Parameters, names: Collection[str]) -> None:
    """Check that parameters of these names exist.

    Raises:
        PluginError: One is missing.
    """
    for name in names:
        if name not in parameters:
            raise PluginError(f"it needs a parameter `{name}`")


def settings_of(parameters: Parameters, given: Collection[str]) -> dict[str, Any]:
    """Return the fields of a settings model: all parameters but those that are `given`.

    A parameter of another type than a number, a truth value or a text keeps its default.

    Raises:
        PluginError: A parameter has no annotation, or can neither be set nor keep a default.
    """
    fields = {}
    for name, parameter in parameters.items():
        if name in given:
            continue
        if parameter.annotation is inspect.Parameter.empty:
            raise PluginError(
                f"its parameter `{name}` needs a type: bool, int, float or str, such as "
                f"`{name}: float = 1.0`"
            )
        field = _field(parameter)
        if field is not None:
            fields[name] = field
    return fields


def model_of(
    base: type[Base], fields: Mapping[str, Any], *, name: str, module: str, doc: str | None
) -> type[Base]:
    """Return a settings model with these fields; their defaults are validated.

    Raises:
        PluginError: The name of a field has another meaning, or a default is invalid.
    """
    reserved = {*NO_SETTINGS, *dir(base), *_annotated(base)}
    if taken := [field for field in fields if field in reserved]:
        raise PluginError(f"its parameter `{taken[0]}` has a name that a setting cannot have")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pydantic warns of names of its own methods
            model = create_model(name, __base__=base, __module__=module, __doc__=doc, **fields)
        model.model_validate({key: value for key, (_, value) in fields.items() if value is not ...})
    except ValidationError as error:
        problems = [p for p in problems_of(error) if p.type != "missing"]
        if problems:
            told = "; ".join(map(str, problems))
            raise PluginError(f"the default of a parameter is invalid: {told}") from error
    except (NameError, TypeError, ValueError, UserWarning) as error:
        raise PluginError(f"a parameter cannot be a setting ({error})") from error
    return model


def _annotated(base: type) -> set[str]:
    """Return the names that a class and its bases annotate."""
    return {name for each in base.__mro__ for name in vars(each).get("__annotations__", {})}


def _field(parameter: inspect.Parameter) -> tuple[Any, Any] | None:
    """Return type and default of a setting, `...` without a default; None if it cannot be set."""
    type_ = None if parameter.default is None else _setting_type(parameter.annotation)
    missing = parameter.default is inspect.Parameter.empty
    if type_ is None:
        if missing:
            raise PluginError(
                f"its parameter `{parameter.name}` needs a default, as its type is none of bool, "
                "int, float, str"
            )
        return None
    default = ... if missing else parameter.default
    plain = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    return type_, float(default) if plain is float and type(default) is int else default


def _setting_type(annotation: Any) -> Any:
    """Return the type of a setting; None if it cannot be set."""
    if get_origin(annotation) is Annotated:
        return annotation if _setting_type(get_args(annotation)[0]) is not None else None
    if get_origin(annotation) in (Union, types.UnionType):  # as `float | Tensor` in torch
        return float if float in get_args(annotation) else None
    is_literal = get_origin(annotation) is Literal
    return annotation if is_literal or annotation in PLAIN else None
