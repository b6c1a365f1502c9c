"""Create the parts of a function instance, once, at init.

Clients are botocore's: boto3 would only wrap them, and adds a fifth to the start.
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from rtp.runtime import calls, loading, logs, settings, tracing
from rtp.runtime.archive import Archive
from rtp.runtime.calls import LazyClient, TracedClient
from rtp.runtime.queue import Queues
from rtp.runtime.registry import REGISTRY, Registry
from rtp.runtime.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from rtp.runtime.calls import Traced
    from rtp.runtime.settings import Settings

_IO_THREADS = 10
_SERVICES = ("dynamodb", "s3", "sqs")
T = TypeVar("T", bound="Traced")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The parts that outlive an invocation. `io` runs the AWS calls of a batch concurrently."""

    settings: Settings
    registry: Registry
    store: Store
    archive: Archive
    queues: Queues
    io: Executor
    clock: Callable[[], float] = time.time

    def each(self, step: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Run a step for every item concurrently; its AWS calls are in the item's trace."""

        def traced(item: T) -> R:
            with calls.on_behalf_of([item]):
                return step(item)

        return [traced(items[0])] if len(items) == 1 else list(self.io.map(traced, items))


def runtime() -> Runtime:
    """Return the Runtime of this instance. Retries what failed at init, such as the import of the processors."""
    current = _runtime()
    if current.registry.failure is not None:
        loading.load(current.settings.processors, current.registry)
    return current


@cache
def _runtime() -> Runtime:
    current = settings.read()
    logs.install(current.log_level, current.release)
    loading.load(current.processors, REGISTRY)
    return assemble(current, REGISTRY, clients())


def prepare() -> None:
    """Prepare the first invocation while Lambda imports the module. Never fails and calls no service."""
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return
    gc.disable()  # the imports and models below stay; collecting among them costs a tenth of the start
    try:
        with suppress(Exception):  # the first invocation meets the same failure, and can report it
            _runtime()
            if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") != "on-demand":
                tracing.prepare()
    finally:
        gc.freeze()  # before enabling: the collector does not visit again what init created
        gc.enable()


def assemble(
    settings: Settings,
    registry: Registry,
    clients: dict[str, Any],
    *,
    io: Executor | None = None,
    clock: Callable[[], float] = time.time,
) -> Runtime:
    """Create a Runtime of these parts."""
    if io is None:
        from concurrent.futures import ThreadPoolExecutor

        io = ThreadPoolExecutor(_IO_THREADS, thread_name_prefix="rtp-io")
    dynamodb = TracedClient(clients["dynamodb"], "DynamoDB", table_name=settings.table)
    archive = Archive(TracedClient(clients["s3"], "S3", bucket_name=settings.bucket), settings.bucket)
    return Runtime(
        settings=settings,
        registry=registry,
        store=Store(
            dynamodb, settings.table, archive, shards=settings.index_shards, release=settings.release, clock=clock
        ),
        archive=archive,
        queues=Queues(TracedClient(clients["sqs"], "SQS"), settings.queue_url, settings.dlq_url),
        io=io,
        clock=clock,
    )


def clients() -> dict[str, Any]:
    """Create the clients of DynamoDB, S3 and SQS. The environment has AWS_ENDPOINT_URL, region and credentials."""
    import gzip
    import json

    import botocore.session
    from botocore.config import Config
    from botocore.loaders import JSONFileLoader, Loader

    class DictFiles(JSONFileLoader):
        """Reads models into dicts, which are ordered too; botocore's hook for OrderedDict adds a third to the time."""

        def load_file(self, file_path: str) -> Any:
            for suffix, open_file in ((".json", open), (".json.gz", gzip.open)):
                with suppress(FileNotFoundError), open_file(file_path + suffix, "rb") as file:
                    return json.loads(file.read())
            return None

    class ThreeServices(Loader):
        """Reads the three services' models without searching the folders of four hundred services for them."""

        def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
            return list(_SERVICES)

    config = Config(
        connect_timeout=2,
        read_timeout=6,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=_IO_THREADS,
        parameter_validation=False,  # only rtp sets parameters, and a check costs a sixth of a call's CPU
        s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else None,
    )
    session = botocore.session.get_session()
    loader = ThreeServices(file_loader=DictFiles(), include_default_search_paths=True)
    session.register_component("data_loader", loader)

    @cache
    def client(name: str) -> Any:
        return session.create_client(name, config=config)

    return {"dynamodb": client("dynamodb"), "s3": client("s3"), "sqs": LazyClient(lambda: client("sqs"))}
