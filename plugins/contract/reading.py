"""Reading YAML into models, such that whatever is wrong is found by its file, line and field."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from contract.document import DocumentError, Lines, Location, read_document

AnyModel = TypeVar("AnyModel", bound="Model")


class ContractError(ValueError):
    """A contract file that cannot be used: one line per problem, each `file:line: field: what is wrong`."""


class Model(BaseModel):
    """What a document, or a part of it, must be: strictly its fields, each of its type."""

    # Deferred, or each part is built by itself before it is built into the whole.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


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
    try:
        document, lines = read_document(text)
        return model.model_validate(document), lines
    except DocumentError as error:
        raise ContractError(f"{path}:{error.line}: {dotted(error.at)}: {error}") from None
    except ValidationError as error:
        problems = [_explain(path, model, details, lines) for details in error.errors()]
        raise ContractError("\n".join(problems)) from None


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
    return f"{path}:{lines[at]}: {dotted(at)}: {message}"
