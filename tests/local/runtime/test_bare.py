"""Both handlers in an interpreter with only what Lambda has: the zip, the layer, boto3 and its dependencies."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Project

IN_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six")

SCRIPT = """
import importlib, json, sys
folders, module, payload = json.loads(sys.argv[1])
sys.path[:0] = folders
class Context:
    aws_request_id = "bare-" + payload["bare"]
    function_name = "bare"
    def get_remaining_time_in_millis(self):
        return 20_000
handler = importlib.import_module(module).handler
answer = handler(payload, Context())
loaded = sorted({m.split(".")[0] for m in sys.modules})
sys.stderr.write(json.dumps({"answer": answer, "loaded": loaded}))
"""


def unpacked(archives: Path, name: str, target: Path) -> Path:
    """Unpack the archive that was deployed."""
    (archive,) = archives.glob(name)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(target)
    return target


@pytest.fixture
def folders(deployed: Project, tmp_path: Path) -> list[Path]:
    """sys.path, without the standard library."""
    state = deployed.root / ".rtp"
    aws = tmp_path / "aws"
    aws.mkdir()
    for name in IN_LAMBDA:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin)
        path = path.parent if path.name == "__init__.py" else path
        (aws / path.name).symlink_to(path)
    code = unpacked(state / "assets", "code-*.zip", tmp_path / "code")
    layer = unpacked(state / "layers", "layer-*.zip", tmp_path / "layer")
    return [code, layer / "python", aws]


def environment(project: Project, function: str, **more: str) -> dict[str, str]:
    """Return the function's variables, and those that Lambda adds."""
    configuration = project.aws.client("lambda").get_function_configuration(FunctionName=function)
    variables: dict[str, str] = configuration["Environment"]["Variables"]
    return {
        **variables,
        "AWS_ENDPOINT_URL": project.engine.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": project.engine.keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": project.engine.keys.secret_access_key,
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:9",  # nothing listens there, but the SDK must be importable
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        **more,
    }


def run(folders: list[Path], module: str, payload: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Import and call a handler in a bare interpreter."""
    arguments = json.dumps([[str(folder) for folder in folders], module, {**payload, "bare": uuid.uuid4().hex}])
    argv = [sys.executable, "-I", "-S", "-c", SCRIPT, arguments]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    return answer


def request(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(event),
        "requestContext": {"requestId": uuid.uuid4().hex, "requestTimeEpoch": 1_750_000_000_000},
    }


def test_the_processor_answers(deployed: Project, folders: list[Path]) -> None:
    env = environment(deployed, deployed.outputs["ProcessorName"])
    event = {"type": "order.created", "data": {"total": 12.5}}

    ran = run(folders, "rtp.runtime.api", request(event), env)

    assert ran["answer"]["statusCode"] == 200
    assert json.loads(ran["answer"]["body"])["result"] == {"total_cents": 1250}
    assert "aws_xray_sdk" in ran["loaded"]
    assert "boto3" not in ran["loaded"]


def test_the_worker_responds(deployed: Project, folders: list[Path]) -> None:
    env = environment(deployed, deployed.outputs["WorkerName"])
    record = {
        "messageId": uuid.uuid4().hex,
        "receiptHandle": "",
        "body": json.dumps({"type": "stored.as.is", "data": {"n": 1}}),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1750000000000"},
        "messageAttributes": {},
    }

    ran = run(folders, "rtp.runtime.worker", {"Records": [record]}, env)

    assert ran["answer"] == {"batchItemFailures": []}


@pytest.mark.parametrize("model", ["{'required': ['n']}", "Model"])
def test_the_layer_has_what_models_need(deployed: Project, folders: list[Path], tmp_path: Path, model: str) -> None:
    (tmp_path / "modelled.py").write_text(
        "from dataclasses import dataclass\nfrom rtp.runtime import processor\n"
        "@dataclass\nclass Model:\n    n: int\n"
        f"@processor('modelled', data={model})\ndef modelled(event): return {{'fine': True}}\n"
    )
    env = environment(deployed, deployed.outputs["ProcessorName"], RTP_PROCESSORS="modelled")

    good = run([tmp_path, *folders], "rtp.runtime.api", request({"type": "modelled", "data": {"n": 1}}), env)
    bad = run([tmp_path, *folders], "rtp.runtime.api", request({"type": "modelled", "data": {}}), env)

    assert json.loads(good["answer"]["body"])["result"] == {"fine": True}
    assert bad["answer"]["statusCode"] == 400


@pytest.mark.parametrize("module", ["rtp.runtime.api", "rtp.runtime.worker"])
def test_importing_a_handler_never_fails_and_opens_no_connection(folders: list[Path], module: str) -> None:
    script = (
        f"import json, sys\nsys.path[:0] = {[str(f) for f in folders]!r}\n"
        "def audit(event, args):\n"
        "    if event == 'socket.connect':\n        raise AssertionError(args)\n"
        "sys.addaudithook(audit)\n"
        f"import {module}\n"
    )
    # No region, no credentials, no settings, and processors that do not exist.
    for env in ({}, {"AWS_LAMBDA_FUNCTION_NAME": "f"}, {"AWS_LAMBDA_FUNCTION_NAME": "f", "RTP_PROCESSORS": "nothing"}):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
