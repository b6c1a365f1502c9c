"""Every patch, in the order in which they are installed."""

from __future__ import annotations

from rtp.local.patches import (
    alarms,
    api_gateway,
    bucket_policies,
    callbacks,
    copies,
    credentials,
    custom_resources,
    deferred,
    denials,
    downloads,
    event_source,
    folder_paths,
    function_logs,
    invocations,
    message_moves,
    metric_math,
    queue_urls,
    queues,
    request_validators,
    saving,
    send_trace,
    stack_buckets,
    stack_cleanup,
    statements,
    usage,
    user_regexes,
    worker,
)

AT_START = (
    worker.PATCH,
    queues.PATCH,
    message_moves.PATCH,
    queue_urls.PATCH,
    send_trace.PATCH,
    invocations.PATCH,
    event_source.PATCH,
    function_logs.PATCH,
    api_gateway.PATCH,
    usage.PATCH,
    alarms.PATCH,
    saving.PATCH,
    folder_paths.PATCH,
    statements.PATCH,
    copies.PATCH,
    user_regexes.PATCH,
    credentials.PATCH,
    denials.PATCH,
    downloads.PATCH,
    deferred.PATCH,
)
# These change CloudFormation's modules, which `deferred` loads after the start.
WITH_CLOUDFORMATION = (
    request_validators.PATCH,
    callbacks.PATCH,
    metric_math.PATCH,
    stack_buckets.PATCH,
    bucket_policies.PATCH,
    custom_resources.PATCH,
    stack_cleanup.PATCH,
)
PATCHES = (*AT_START, *WITH_CLOUDFORMATION)
