"""Compare rtp's worker with a naive one (naive_handler.py): cold start, CPU and memory, events a second end to end.

Both process the same events, in the same interpreter, against the same local engine, alternating. rtp's worker does so
with a processor, and again without one, so that events are stored as is.
"""

from __future__ import annotations

import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

COLD_RUNS = 21
BATCHES, CPU_RUNS = 40, 5
EVENTS, FLOW_RUNS = 1_000, 5
STACK = "realtime-processor-local"
HERE = Path(__file__).parent
NAIVE, RTP, STORED = "naive", "rtp", "rtp, stored as is"
LIMITS = {"cold start": 0.7, "CPU an event": 0.5, "events a second": 2.0, "peak memory": 1.0}

SETTINGS = """\
[processors]
path = "processors.py"

[defaults]
worker_concurrency = 2
log_level = "INFO"
"""
PROCESSORS = """\
from rtp.runtime import Event, processor


@processor("order.created")
def price(event: Event) -> dict:
    return {"total_cents": round(event.data["total"] * 100)}
"""

# Imports within functions, as Lambda imports a handler: at the top level of a script some depths of the
# stack take CPython a tenth longer than others.
COLD = """
import importlib, sys, time
def start(depth):
    if depth:
        return start(depth - 1)
    began = time.perf_counter()
    importlib.import_module(sys.argv[1])
    return time.perf_counter() - began
print(start(int(sys.argv[2])))
"""
BATCH = """
import importlib, json, resource, sys, time, uuid
sys.path.insert(0, sys.argv[1])
from bench.runtime import batch
handler = importlib.import_module(sys.argv[2]).handler
class Context:
    function_name = "bench"
    def __init__(self): self.aws_request_id = str(uuid.uuid4())
    def get_remaining_time_in_millis(self): return 30_000
for _ in range(5):
    handler(batch(sys.argv[3]), Context())
batches = [batch(sys.argv[3]) for _ in range(int(sys.argv[4]))]
began = time.process_time()
for one in batches:
    handler(one, Context())
spent = time.process_time() - began
sys.stderr.write(json.dumps([spent / len(batches) / 10, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A queue, and the event source mapping of its function."""

    queue_url: str
    mapping: str
    type: str


def main() -> int:
    """Measure and print the table; 1 if a limit is missed."""
    with deployed() as (root, aws, daemon):
        from rtp.aws import stacks

        outputs = stacks.deployed(aws, STACK, stacks.describe(aws, STACK)).outputs
        env = environment(aws, outputs, root, daemon)
        cold = cold_starts(env)
        batches = per_batch(env, root)
        flows = end_to_end(aws, outputs)
    table = {
        name: {
            "cold start": statistics.median(cold.get(name, cold[RTP])) * 1000,
            "CPU an event": statistics.median(cpu for cpu, _ in batches[name]) * 1000,
            "events a second": statistics.median(flows[name]),
            "peak memory": statistics.median(rss for _, rss in batches[name]),
        }
        for name in (NAIVE, RTP, STORED)
    }
    report(table)
    return int(any(not within_limit(name, table[RTP][name] / table[NAIVE][name]) for name in LIMITS))


def within_limit(name: str, ratio: float) -> bool:
    """Whether the ratio is within the limit: a minimum for events a second, a maximum for the others."""
    return ratio >= LIMITS[name] if name == "events a second" else ratio <= LIMITS[name]


def report(table: dict[str, dict[str, float]]) -> None:
    """Print the table, each number also as a ratio to the naive worker's."""
    units = {"cold start": "ms", "CPU an event": "ms", "events a second": "/s", "peak memory": "MB"}
    print(f"{'':18}{'naive':>12}{'rtp':>22}{'stored as is':>24}{'limit':>12}")
    for name, unit in units.items():
        naive = table[NAIVE][name]
        cells = [f"{table[key][name]:9.2f} {unit} ({table[key][name] / naive:4.2f})" for key in (RTP, STORED)]
        sign = ">=" if name == "events a second" else "<="
        print(f"{name:18}{naive:9.2f} {unit}{cells[0]:>22}{cells[1]:>24}{sign:>8} {LIMITS[name]}")


@contextmanager
def deployed() -> Iterator[tuple[Path, Aws, str]]:
    """Deploy a pipeline to a new engine, and open a port that discards traces."""
    from rtp.aws import Aws
    from rtp.local import engine

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        root = Path(folder)
        daemon.bind(("127.0.0.1", 0))
        (root / "rtp.toml").write_text(SETTINGS)
        (root / "processors.py").write_text(PROCESSORS)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RTP_"))}
        try:
            subprocess.run(
                [sys.executable, "-m", "rtp", "deploy", "--yes"], cwd=root, env=clean, check=True, capture_output=True
            )
            running = engine.require(root)
            aws = Aws(region="us-east-1", endpoint_url=running.endpoint_url, local=True, keys=running.keys)
            yield root, aws, f"127.0.0.1:{daemon.getsockname()[1]}"
        finally:
            engine.stop(root)


def environment(aws: Aws, outputs: dict[str, str], root: Path, daemon: str) -> dict[str, str]:
    """Return the worker's environment as Lambda sets it."""
    credentials = aws.environment()
    configuration = aws.client("lambda").get_function_configuration(FunctionName=outputs["WorkerName"])
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **configuration["Environment"]["Variables"],
        "AWS_ENDPOINT_URL": str(aws.endpoint_url),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": credentials["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": credentials["AWS_SECRET_ACCESS_KEY"],
        "AWS_LAMBDA_FUNCTION_NAME": outputs["WorkerName"],
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_XRAY_DAEMON_ADDRESS": daemon,
        "PYTHONPATH": f"{root}{os.pathsep}{HERE.parent}",
    }


def cold_starts(env: dict[str, str]) -> dict[str, list[float]]:
    """Seconds of the handler's import, each in a new interpreter."""
    modules = {NAIVE: "bench.naive_handler", RTP: "rtp.runtime.worker"}
    samples: dict[str, list[float]] = {name: [] for name in modules}
    for run in range(COLD_RUNS):
        for name, module in modules.items():
            argv = [sys.executable, "-c", COLD, module, str(run % 10)]
            done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
            samples[name].append(float(done.stdout.splitlines()[-1]))
    return samples


def per_batch(env: dict[str, str], root: Path) -> dict[str, list[tuple[float, float]]]:
    """CPU seconds per event and peak MB of a process that handles batches of ten; every event is sampled for X-Ray."""
    traced = {"_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"}
    kinds = {
        NAIVE: ("bench.naive_handler", "order.created"),
        RTP: ("rtp.runtime.worker", "order.created"),
        STORED: ("rtp.runtime.worker", "page.viewed"),
    }
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(CPU_RUNS):
        for name, (module, type) in kinds.items():
            argv = [sys.executable, "-c", BATCH, str(root), module, type, str(BATCHES)]
            done = subprocess.run(argv, env=env | traced, capture_output=True, text=True, check=True)
            cpu, rss = json.loads(done.stderr.splitlines()[-1])
            samples[name].append((cpu, rss))
    return samples


def end_to_end(aws: Aws, outputs: dict[str, str]) -> dict[str, list[float]]:
    """Events a second from a full queue to an empty one, with warm functions."""
    mapping = aws.client("lambda").list_event_source_mappings(FunctionName=outputs["WorkerName"])["EventSourceMappings"]
    worker = mapping[0]["UUID"]
    pipelines = {
        NAIVE: naive_pipeline(aws, outputs),
        RTP: Pipeline(outputs["QueueUrl"], worker, "order.created"),
        STORED: Pipeline(outputs["QueueUrl"], worker, "page.viewed"),
    }
    samples: dict[str, list[float]] = {name: [] for name in pipelines}
    for pipeline in pipelines.values():
        drain(aws, pipeline, 100)
    for _ in range(FLOW_RUNS):
        for name, pipeline in pipelines.items():
            samples[name].append(EVENTS / drain(aws, pipeline, EVENTS))
    return samples


def drain(aws: Aws, pipeline: Pipeline, count: int) -> float:
    """Fill the queue while its event source is disabled, enable it, and return the seconds until the queue is empty."""
    functions, sqs = aws.client("lambda"), aws.client("sqs")
    functions.update_event_source_mapping(UUID=pipeline.mapping, Enabled=False)
    time.sleep(1.5)
    for start in range(0, count, 10):
        bodies = [body(pipeline.type) for _ in range(start, min(start + 10, count))]
        entries = [{"Id": str(n), "MessageBody": one} for n, one in enumerate(bodies)]
        assert not sqs.send_message_batch(QueueUrl=pipeline.queue_url, Entries=entries).get("Failed")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    functions.update_event_source_mapping(UUID=pipeline.mapping, Enabled=True)
    began = time.perf_counter()
    while time.perf_counter() - began < 300:
        counts = sqs.get_queue_attributes(QueueUrl=pipeline.queue_url, AttributeNames=names)["Attributes"]
        if not sum(int(value) for value in counts.values()):
            return time.perf_counter() - began
        time.sleep(0.05)
    raise TimeoutError(f"{counts} after 300 s")


def naive_pipeline(aws: Aws, outputs: dict[str, str]) -> Pipeline:
    """Create the naive worker with its queue, configured like rtp's."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(HERE / "naive_handler.py", "naive_handler.py")
    functions, sqs = aws.client("lambda"), aws.client("sqs")
    like = functions.get_function_configuration(FunctionName=outputs["WorkerName"])
    variables = {k: v for k, v in like["Environment"]["Variables"].items() if k.startswith("RTP_")}
    function = functions.create_function(
        FunctionName="naive",
        Runtime=like["Runtime"],
        Role=like["Role"],
        Handler="naive_handler.handler",
        Code={"ZipFile": packed.getvalue()},
        Timeout=like["Timeout"],
        MemorySize=like["MemorySize"],
        TracingConfig={"Mode": "Active"},
        Environment={"Variables": variables},
    )
    queue_url = sqs.create_queue(QueueName="naive", Attributes={"VisibilityTimeout": "180"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    mapping = functions.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName=function["FunctionName"],
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 2},
    )
    return Pipeline(queue_url, mapping["UUID"], "order.created")


def body(type: str) -> str:
    """Return an event of 300 bytes with a new identity."""
    data = {
        "order": "A-1001",
        "total": 12.5,
        "customer": {"id": 7, "name": "Ada"},
        "lines": [{"sku": "a1", "n": 2, "price": 3.25}, {"sku": "b2", "n": 1, "price": 6.0}],
    }
    return json.dumps({"type": type, "id": uuid.uuid4().hex, "timestamp": int(time.time() * 1000), "data": data})


def batch(type: str) -> dict[str, Any]:
    """Return ten messages as Lambda passes them to a function."""
    system = {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))}
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": "",
                "body": body(type),
                "attributes": system,
                "messageAttributes": {},
            }
            for _ in range(10)
        ]
    }


if __name__ == "__main__":
    sys.exit(main())
