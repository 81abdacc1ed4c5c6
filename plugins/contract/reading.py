"""Reading YAML into models, with the line of each value, so that whatever is wrong can be found."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

Location = tuple[str | int, ...]
"""The path of a value inside a document: keys of mappings and indexes of lists."""

Lines = dict[Location, int]
"""The line (from 1) of every value of a document."""

AnyModel = TypeVar("AnyModel", bound="Model")


class ContractError(ValueError):
    """A contract file that cannot be used: one line per problem, each `file:line: field: what is wrong`."""


class Model(BaseModel):
    """What a document, or a part of it, must be: strictly its fields, each of its type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def problem(message: str, *at: str | int) -> PydanticCustomError:
    """An error about the field at the path `at` below the model that raises it."""
    return PydanticCustomError("contract", "{message}", {"message": message, "at": at})


def read_model(path: Path, model: type[AnyModel]) -> tuple[AnyModel, Lines]:
    """What the YAML file `path` says, as a `model`, and the line of every value in it.

    :raises ContractError: the file cannot be read, is not YAML, or is not such a model; one line per problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}:1: contract: cannot be read: {error}") from error
    read = _read(path, text, model)
    return read[0], read[1]


@lru_cache(maxsize=1024)
def _read(path: Path, text: str, model: type[Model]) -> tuple[Any, Lines]:
    """`read_model` of a text that is read already: the same text is looked at once."""
    document, lines = _read_yaml(path, text)
    try:
        return model.model_validate(document), lines
    except ValidationError as error:
        lines.setdefault((), 1)
        problems = [_explain(path, model, details, lines) for details in error.errors()]
        raise ContractError("\n".join(problems)) from None


def _read_yaml(path: Path, text: str) -> tuple[Any, Lines]:
    """The document in `text`, lists as tuples, and for every value in it the line (from 1) where it stands."""
    lines: Lines = {}

    def convert(node: yaml.Node, at: Location) -> Any:
        lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = loader.construct_object(key_node)
                line = key_node.start_mark.line + 1
                if key in mapping:
                    raise ContractError(f"{path}:{line}: {dotted((*at, key))}: is given twice")
                lines[(*at, key)] = line
                mapping[key] = convert(value_node, (*at, key))
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return tuple(convert(item, (*at, index)) for index, item in enumerate(node.value))
        return loader.construct_object(node)

    try:
        loader = yaml.CSafeLoader(text)
        root = loader.get_single_node()
        return (convert(root, ()) if root is not None else None), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ContractError(f"{path}:{line}: contract: is not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path}:1: contract: cannot be read: {error}") from error


def dotted(at: Location) -> str:
    """`("columns", 2, "type")` as `columns[2].type`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".") or "contract"


def _fields_at(model: type[BaseModel], at: Location) -> list[str]:
    """The field names of the model at the path `at` below `model`."""
    for part in at:
        if isinstance(part, str):
            annotation: Any = model.model_fields[part].annotation
            while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
                annotation = get_args(annotation)[0]
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _explain(path: Path, model: type[Model], error: ErrorDetails, lines: Lines) -> str:
    """One line for one pydantic error."""
    context = error.get("ctx", {})
    at: Location = (*error["loc"], *context.get("at", ()))
    known = next(at[:length] for length in range(len(at), -1, -1) if at[:length] in lines)
    match error["type"]:
        case "missing":
            message = "is required"
        case "extra_forbidden":
            message = f"is not a field; allowed: {', '.join(_fields_at(model, at[:-1]))}"
        case "value_error":
            message = f"{error['input']!r} {context['error']}"
        case "literal_error":
            message = f"{error['input']!r} is not allowed; allowed: {context['expected']}"
        case "contract":
            message = error["msg"]
        case _:
            message = f"{error['input']!r}: {error['msg']}"
    return f"{path}:{lines[known]}: {dotted(at)}: {message}"
