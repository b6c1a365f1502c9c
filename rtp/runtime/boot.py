"""What an instance of a function is made of, put together once, at init.

Clients are botocore's own: boto3 would only wrap them, and costs a fifth of the start again.
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rtp.runtime import loading, logs, settings, tracing
from rtp.runtime.archive import Archive
from rtp.runtime.queue import Queues
from rtp.runtime.registry import REGISTRY, Registry
from rtp.runtime.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from rtp.runtime.delivery import Job
    from rtp.runtime.settings import Settings

_IO_THREADS = 10
_SERVICES = ("dynamodb", "s3", "sqs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The parts that outlive an invocation. `io` runs the AWS calls of a batch side by side."""

    settings: Settings
    registry: Registry
    store: Store
    archive: Archive
    queues: Queues
    io: Executor
    clock: Callable[[], float] = time.time

    def each(self, step: Callable[[Job], None], jobs: Sequence[Job]) -> None:
        """Take a step with every job, side by side."""
        if len(jobs) == 1:
            step(jobs[0])
        elif jobs:
            list(self.io.map(step, jobs))

    @contextmanager
    def traced(self, jobs: Sequence[Job], service: str, operation: str, **aws: Any) -> Iterator[None]:
        """Note an AWS call in the trace of every event it is made for."""
        started, failed = time.time(), None
        try:
            yield
        except Exception as error:
            failed = error
            raise
        finally:
            ended = time.time()
            for job in jobs:
                job.trace.call(service, operation, started, ended, failed, **aws)


def runtime() -> Runtime:
    """The Runtime of this instance. What failed at init, such as the import of the processors, is tried again."""
    made = _made()
    if made.registry.failure is not None:
        loading.load(made.settings.processors, made.registry)
    return made


@cache
def _made() -> Runtime:
    made = settings.read()
    logs.install(made.log_level)
    loading.load(made.processors, REGISTRY)
    return assemble(made, REGISTRY, clients())


def prepare() -> None:
    """Do, at import in Lambda, what can be done before the first invocation. Never fails and calls nobody."""
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return
    gc.disable()  # the imports and models below stay; collecting among them costs a tenth of the start
    try:
        with suppress(Exception):  # the first invocation meets the same failure, and can report it
            _made()
            if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") != "on-demand":
                tracing.prepare()
    finally:
        gc.freeze()  # before enabling: what init made is not looked at again
        gc.enable()


def assemble(
    made: Settings,
    registry: Registry,
    clients: dict[str, Any],
    *,
    io: Executor | None = None,
    clock: Callable[[], float] = time.time,
) -> Runtime:
    """A Runtime of these parts."""
    if io is None:
        from concurrent.futures import ThreadPoolExecutor

        io = ThreadPoolExecutor(_IO_THREADS, thread_name_prefix="rtp-io")
    archive = Archive(clients["s3"], made.bucket)
    return Runtime(
        settings=made,
        registry=registry,
        store=Store(clients["dynamodb"], made.table, archive, shards=made.index_shards, clock=clock),
        archive=archive,
        queues=Queues(clients["sqs"], made.queue_url, made.dlq_url),
        io=io,
        clock=clock,
    )


def clients() -> dict[str, Any]:
    """DynamoDB, S3 and SQS. AWS_ENDPOINT_URL, region and credentials come from the environment."""
    import gzip
    import json

    import botocore.session
    from botocore.config import Config
    from botocore.loaders import JSONFileLoader, Loader

    class PlainFiles(JSONFileLoader):
        """Reads models into dicts, which keep their order as well; the hook for another class costs a third again."""

        def load_file(self, file_path: str) -> Any:
            for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
                with suppress(FileNotFoundError), opened(file_path + suffix, "rb") as file:
                    return json.loads(file.read())
            return None

    class OurServices(Loader):
        """Finds what we use where it is, and does not search the folders of four hundred services for it."""

        def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
            return list(_SERVICES)

    config = Config(
        connect_timeout=2,
        read_timeout=6,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=_IO_THREADS,
        parameter_validation=False,  # every parameter is ours; checking them again costs a sixth of a call's CPU
        s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else None,
    )
    session = botocore.session.get_session()
    session.register_component("data_loader", OurServices(file_loader=PlainFiles(), include_default_search_paths=True))

    @cache
    def client(name: str) -> Any:
        return session.create_client(name, config=config)

    return {"dynamodb": client("dynamodb"), "s3": client("s3"), "sqs": _Late(lambda: client("sqs"))}


class _Late:
    """A client that is made when it is first used: most invocations send nothing."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._make(), operation)
