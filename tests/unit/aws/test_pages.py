"""A call whose answer comes in pages is read to its end: AWS may answer with an empty page and a token."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests import trees

PACKAGE = Path(__file__).parents[3] / "rtp"
# Calls of one page, and why that is enough.
SINGLE = {
    "aws/buckets.py list_object_versions": "its own pages, of versions and markers together",
    "aws/changesets.py describe_change_set": "its own pages; the tags are on each",
    "aws/logs.py filter_log_events": "its own pages, with the service's time",
    "aws/records.py query": "the first page, which is smaller; the others are read from its end",
    "aws/stacks.py describe_stacks": "one stack by its name",
    "aws/traces.py get_trace_summaries": "its own pages, of which the last says the service's time",
    "aws/usage.py get_usage": "its own pages, of a map by key; and one key on one day",
}


@cache
def paginated(service: str) -> frozenset[str]:
    """Names of a service's operations that botocore can paginate."""
    from botocore import xform_name
    from botocore.exceptions import UnknownServiceError
    from botocore.session import get_session

    try:
        model = get_session().get_component("data_loader").load_service_model(service, "paginators-1")
    except UnknownServiceError:
        return frozenset()
    return frozenset(map(xform_name, model["pagination"]))


@trees.READS_ALL
def test_every_call_with_pages_is_read_to_its_end() -> None:
    found = set()
    for path in sorted((PACKAGE / "aws").rglob("*.py")) + sorted((PACKAGE / "ops").rglob("*.py")):
        for node in trees.nodes(path):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "call"):
                continue
            match node.args[:2]:
                case [ast.Constant(str(service)), ast.Constant(str(operation))] if operation in paginated(service):
                    found.add(f"{path.relative_to(PACKAGE)} {operation}")
    assert found == set(SINGLE)
