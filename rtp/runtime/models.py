"""Models of an event's data: a dataclass or msgspec Struct (msgspec), or a JSON Schema (fastjsonschema).

Each library is imported only when a processor needs it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rtp.runtime import jsontext
from rtp.runtime.jsontext import Problem

if TYPE_CHECKING:
    from collections.abc import Callable


class MismatchError(ValueError):
    """Data that does not match its processor's model; `problems` has the paths."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in problems))
        self.problems = problems


def convert(model: Any, data: Any) -> Any:
    """Return the data as its processor gets it: an instance of the class, or unchanged if the model is a JSON Schema.

    Raises MismatchError.
    """
    return _by_schema(model, data) if isinstance(model, dict) else _by_class(model, data)


def problem(model: Any) -> str:
    """Return why a value cannot be a model; empty if it can."""
    try:
        if isinstance(model, dict):
            _validator(jsontext.dumps(jsontext.exact(model)))
        elif not isinstance(model, type):
            return f"data= takes a dataclass, a msgspec Struct or a JSON Schema, not {model!r}"
        else:
            import msgspec

            # Also makes what msgspec knows of the type, which must be there before threads convert data to it: the
            # first use of a type in several threads at once ends the process.
            msgspec.json.schema(model)
    except Exception as error:
        return f"data= cannot be used: {error}"
    return ""


def _by_class(model: Any, data: Any) -> Any:
    import msgspec

    try:
        return msgspec.convert(data, type=model)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `")
        raise MismatchError(Problem(f"$.data{where.rstrip('`').removeprefix('$')}", message)) from None


def _by_schema(schema: dict[str, Any], data: Any) -> Any:
    import fastjsonschema

    try:
        _validator(jsontext.dumps(jsontext.exact(schema)))(data)
    except fastjsonschema.JsonSchemaValueException as error:
        path = "$.data"
        for part in error.path[1:]:
            path = (
                f"{path}[{part}]" if isinstance(part, int) or str(part).isdigit() else jsontext.child(path, str(part))
            )
        raise MismatchError(Problem(path, error.message.removeprefix(f"{error.name} "))) from None
    return data


@cache
def _validator(schema: str) -> Callable[[Any], Any]:
    import json

    import fastjsonschema

    validate: Callable[[Any], Any] = fastjsonschema.compile(json.loads(schema), use_default=False)
    return validate
