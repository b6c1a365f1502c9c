"""The engine's answers beside those that AWS gave to the same requests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.engine import further_requests
from tests.local.engine.requests_of_aws import REQUESTS, Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

FILES = ("aws-answers.json", "further-aws-answers.json")
RECORDED = [row for name in FILES for row in json.loads(Path(__file__).with_name(name).read_text())["cases"]]
DOCS = Path(__file__).parents[3] / "docs" / "local.md"
_VARIABLE = re.compile(r"<[^>]+>|1{12}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CUT = "…"  # where a recorded answer was cut


@pytest.fixture(scope="module")
def bench(make_lab: Callable[..., Lab]) -> Bench:
    return Bench(make_lab())


def test_the_engine_answers_as_aws_does(bench: Bench) -> None:
    # Given a request for each recorded answer
    assert further_requests.REQUESTS is REQUESTS
    assert sorted(REQUESTS) == sorted({row["case"] for row in RECORDED})
    # When each is made
    answers = {row["case"]: (row["aws"], REQUESTS[row["case"]](bench)) for row in RECORDED}
    # Then the answers are the same, except for those that the docs list with the reason
    different = {name: pair for name, pair in answers.items() if not same(*pair)}
    table = DOCS.read_text().partition("<!-- answers -->")[2].partition("<!-- end of answers -->")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert sorted(different) == sorted(listed), json.dumps(different, indent=1)


def same(aws: Any, engine: Any) -> bool:
    """Whether two answers differ in names, ids and accounts alone."""
    if isinstance(aws, str) and _CUT in aws:
        return json.dumps(engine).startswith(aws.partition(_CUT)[0])
    if isinstance(aws, dict) and isinstance(engine, dict):
        return aws.keys() == engine.keys() and all(same(aws[key], engine[key]) for key in aws)
    if isinstance(aws, str) and isinstance(engine, str) and _VARIABLE.search(aws):
        pattern = ".+".join(re.escape(part) for part in _VARIABLE.split(aws))
        return re.fullmatch(pattern, engine) is not None
    return bool(aws == engine)
