"""Fast paths: shortcuts with a slower way to the same result behind them. RTP_SLOW_PATHS=1 turns all of them off.

docs/fast-paths.md is generated from the table. A shortcut asks `enabled` where it branches off.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

SWITCH = "RTP_SLOW_PATHS"


@dataclass(frozen=True, slots=True)
class FastPath:
    """A shortcut.

    what: what it does. slow: what is done without it. reason: why the result is the same. test: compares the two.
    """

    what: str
    slow: str
    reason: str
    test: str


FAST_PATHS = {
    "code-exchange": FastPath(
        "A synthesis that differs from the last one by the functions' code alone exchanges the code in the assembly.",
        "The CDK synthesises again, which takes seconds.",
        "The stack refers to the code by its fingerprint only, which is computed as the CDK does.",
        "tests/local/deploy/test_deploy.py::test_an_exchange_of_code_is_what_a_synthesis_would_have_written",
    ),
    "engine-publish": FastPath(
        "A deploy to the embedded engine uploads the assets and prepares the change set by rtp's own calls.",
        "The CDK CLI does so, in Node, whose start takes more than half of such a deploy. On AWS it always does.",
        "The calls are those of the CDK CLI: the same assets, template, tags and termination protection.",
        "tests/local/deploy/test_deploy.py::test_a_deploy_to_the_engine_is_the_one_that_the_cdk_cli_prepares",
    ),
    "json-answers": FastPath(
        "The answers of FilterLogEvents, Query, BatchGetItem and ReceiveMessage are read as one JSON document.",
        "botocore reads them, member by member of each element, in ten times the time.",
        "Members have the same names and types in JSON as in botocore's answer. One with binary values botocore reads.",
        "tests/unit/aws/test_json_answers.py::test_both_ways_read_the_same_records",
    ),
    "plain-output": FastPath(
        "Lines, fields and blocks go to a pipe without rich, which takes longer to load than most commands run.",
        "rich lays them out.",
        "Nothing is folded, cut or coloured in a pipe.",
        "tests/unit/cli/test_output.py::test_a_pipe_gets_the_same_text_without_the_fast_path",
    ),
    "terminal-lines": FastPath(
        "Lines and blocks are written to a terminal with their colours, without rich's layout.",
        "rich lays them out, in ten times the time.",
        "rich does not wrap them either (`soft_wrap`).",
        "tests/unit/cli/test_output.py::test_a_terminal_gets_the_same_text_without_the_fast_path",
    ),
    "engine-patches": FastPath(
        "The patches of the local engine whose kind is `speed` (see [patches.md](patches.md)).",
        "The engine's own functions run.",
        "Each has a test that it changes no result.",
        "tests/unit/local/test_patches.py::test_speed_patches_are_left_out_with_slow_paths",
    ),
}


def enabled(name: str) -> bool:
    """Whether to take this shortcut."""
    if name not in FAST_PATHS:
        raise ValueError(f"{name} is not a fast path")
    return os.environ.get(SWITCH, "") in ("", "0")
