"""How a deploy ends: outputs, what CloudFormation does not restore, and a smoke event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.aws import api, stacks
from rtp.contract import Output, queue_arn
from rtp.ops import files
from rtp.ops.stack.apply import kept, protection, smoke
from rtp.ops.stack.code import hotswap
from rtp.ops.stack.steps import Outputs, Phase, Result
from rtp.ops.stack.teardown import intake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.options import Options
    from rtp.ops.stack.steps import Step


def finish(
    target: Target,
    options: Options,
    operation: Operation,
    status: str,
    resources: int = 0,
    *,
    built: Assembly,
    restored: tuple[str, ...] = (),
) -> Iterator[Step]:
    """Enable the event source and open the intake where they are off, report the outputs, send a smoke event.

    Last, the release is kept for a rollback.

    status: created, updated, restored, unchanged or hotswapped. resources: how many were changed. built: what runs now.
    restored: what CloudFormation did not know of and is as deployed again. Raises RtpError.
    """
    aws, environment = target.aws, target.environment
    stack = stacks.describe(aws, target.name)
    outputs = api.reachable(stack.outputs, aws) if stack else {}
    if Output.KEY_ARN in outputs and not options.dry_run:
        yield from hotswap.ensure_enabled(aws, queue_arn(outputs, environment.names.queue))
        yield from intake.reopened(aws, outputs, environment.settings)
        yield from protection.ensure(aws, outputs[Output.TABLE], on=environment.protected)
    if options.outputs_file is not None:
        text = json.dumps({target.name: outputs}, indent=2) + "\n"  # as the CDK CLI writes it
        files.write(options.outputs_file, text, private=False, hint="The deploy itself is done.")
    if outputs:
        before = operation.outputs_before
        yield Outputs(outputs, tuple(key for key, value in outputs.items() if before.get(key) != value))
    changed = status in ("created", "updated", "restored", "hotswapped")
    if not options.dry_run and options.smoke and (changed or options.smoke_always):
        yield Phase("sending a smoke event")
        yield smoke.smoke(aws, outputs)
    if options.keep and not options.dry_run:
        yield from kept.keep(target, built, operation)
    yield Result(status, target.name, operation.elapsed_s, resources, restored=restored)
