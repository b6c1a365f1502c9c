"""Regular expressions of users: matched with a time limit, in every module of the engine that takes some.

Without this, one pattern of a model, a rule, a query or a state machine holds up the whole process: `(a+)+$` on forty
letters takes longer than anybody waits.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

from rtp.local.patches import MismatchError
from rtp.local.regexes import Timed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

log = logging.getLogger("rtp.patches")
# module -> whose expressions, and wildcards made into one
MODULES = {
    "ministack.core.iam_evaluator": "wildcards of policies",
    "ministack.services.alb": "wildcards of listener rules",
    "ministack.services.apigateway": "resources of policies",
    "ministack.services.apigateway_v1": "models, selection patterns, token validation",
    "ministack.services.bedrock_agentcore": "namespaces",
    "ministack.services.bedrock_runtime": "guardrails",
    "ministack.services.cloudformation.engine": "AllowedPattern",
    "ministack.services.cloudwatch_logs": "Insights queries",
    "ministack.services.ec2": "wildcards of filters",
    "ministack.services.eventbridge": "wildcards of event patterns",
    "ministack.services.glue": "partition patterns",
    "ministack.services.iot": "rules and searches",
    "ministack.services.s3": "wildcards of CORS rules",
    "ministack.services.stepfunctions": "StringMatches",
    "jsonata.datetimeutils": "pictures of times",
    "jsonata.regex_engine": "JSONata",
}


def apply() -> None:
    """Put it in: now where a module is loaded, else as soon as it is."""
    for name in MODULES.keys() & sys.modules.keys():
        put_in(sys.modules[name])
    sys.meta_path.insert(0, _Finder())


def put_in(module: ModuleType) -> None:
    """Give a module matching with a limit. What it has compiled so far is its own and stays."""
    if getattr(module, "re", None) is not re:
        raise MismatchError(f"{module.__name__} does not use re")
    module.re = Timed()  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules as ever, and changes what happens once they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _then_put_in(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
        return spec


def _then_put_in(execute: Callable[[ModuleType], Any]) -> Callable[[ModuleType], None]:
    def run(module: ModuleType) -> None:
        execute(module)
        try:
            put_in(module)
        except MismatchError as error:
            log.warning("left out user_regexes: %s", error)

    return run
