"""Regular expressions of users: matched with a time limit, in every module of the engine that takes some."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import re
import sys
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import MismatchError, Patch
from rtp.local.regexes import Timed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from rtp.local.telemetry import Telemetry

# module -> the users' expressions, or wildcards made into one, that it matches
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


def install(_: Telemetry) -> None:
    """Install the patch in each module that is loaded, and in the others as soon as they are."""
    for name in MODULES.keys() & sys.modules.keys():
        install_in(sys.modules[name])
    sys.meta_path.insert(0, _Finder())


PATCH = Patch(
    name="user_regexes",
    aws="A pattern of a user's fails its own request alone.",
    engine=(
        "One pattern in a model, rule, query or state machine holds up the whole process: `(a+)+$` on "
        "forty letters takes longer than anybody waits."
    ),
    test="tests/local/engine/test_held_up.py::test_what_no_patch_covers_is_interrupted",
    install=install,
)


def install_in(module: ModuleType) -> None:
    """Give a module matching with a time limit. Patterns that it has compiled at its import are its own and stay."""
    if getattr(module, "re", None) is not re:
        raise MismatchError(f"{module.__name__} does not use re")
    module.re = Timed()  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules as usual, and installs the patch once they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _then_install(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
        return spec


def _then_install(execute: Callable[[ModuleType], Any]) -> Callable[[ModuleType], None]:
    def run(module: ModuleType) -> None:
        execute(module)
        try:
            install_in(module)
        except MismatchError as error:  # the engine then answers that it cannot load the service
            raise ImportError(f"the patch user_regexes does not apply: {error}") from error

    return run
