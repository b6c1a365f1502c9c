"""The CDK app as rtp builds it, with cdk-nag: what that finds makes the synthesis fail. Runs as a child.

It reads a plan a line, which share one interpreter and one Node, and prints a status for each: 0 where it passed.
"""

from __future__ import annotations

import sys
import traceback

from rtp.infra import app
from rtp.infra.plan import Plan


def build(plan: Plan) -> None:
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    checked = app.assemble(plan)
    Validations.of(checked).add_plugins(AwsSolutionsChecks(checked), ServerlessChecks(checked))
    checked.synth()


def main() -> None:
    for line in sys.stdin:
        try:
            build(Plan.loads(line))
            print(0)  # noqa: T201
        except Exception:
            traceback.print_exc()
            print(1)  # noqa: T201


if __name__ == "__main__":
    main()
