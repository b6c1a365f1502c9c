"""Start, stop, kill: one process, nothing lost by a stop, nothing left by a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import Aws
from rtp.errors import ConfigError, NotFoundError, RefusedError, RtpError
from rtp.local import engine, losses, process
from rtp.local.state import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOW = "import time\ndef handler(event, context):\n    time.sleep(60)\n"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A project folder whose engine does not outlive the test."""
    yield tmp_path
    record = folder(tmp_path).record()
    if record:
        process.kill_group(record.pid, record.started)


def aws(running: engine.Engine) -> Aws:
    return Aws(region="us-east-1", endpoint_url=running.endpoint_url, local=True, keys=running.keys)


def processes_in(place: Path) -> list[int]:
    """Processes that work in this folder or below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(place):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def taken(port: int) -> bool:
    """Whether somebody else, such as an engine of another worker's tests, has the port by now."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_stop_keeps_every_service_s_data(root: Path) -> None:
    # Given
    first = engine.start(root)
    url = aws(first).call("sqs", "create_queue", QueueName="kept")["QueueUrl"]
    aws(first).call("sqs", "send_message", QueueUrl=url, MessageBody="still here")
    aws(first).call("s3", "create_bucket", Bucket="kept")
    aws(first).call("s3", "put_object", Bucket="kept", Key="key", Body=b"still here")
    aws(first).call("xray", "put_trace_segments", TraceSegmentDocuments=[json.dumps(SEGMENT)])
    # When
    assert engine.stop(root)
    assert engine.status(root).state == "stopped"
    second = engine.start(root)
    # Then
    assert second.port == first.port or taken(first.port)
    assert not second.data_lost
    received = aws(second).call("sqs", "receive_message", QueueUrl=url)
    assert received["Messages"][0]["Body"] == "still here"
    assert aws(second).call("s3", "get_object", Bucket="kept", Key="key")["Body"].read() == b"still here"
    assert len(aws(second).call("xray", "batch_get_traces", TraceIds=[SEGMENT["trace_id"]])["Traces"]) == 1
    assert second.token != first.token
    assert second.keys != first.keys


def test_a_kill_is_noticed_and_unsaved_data_is_discarded_as_a_whole(root: Path) -> None:
    # Given
    first = engine.start(root, save_every_s=0)
    aws(first).call("s3", "create_bucket", Bucket="gone")
    aws(first).call("s3", "put_object", Bucket="gone", Key="key", Body=b"written to the disk at once")
    # When
    os.killpg(first.pid, signal.SIGKILL)
    process.wait_gone(first.pid, folder(root).record().started, 5)  # type: ignore[union-attr]
    # Then
    assert engine.status(root).state == "killed"
    with pytest.raises(NotFoundError, match="killed") as caught:
        engine.require(root)
    assert caught.value.code == "engine-killed"
    assert not folder(root).live.exists()
    assert aws(engine.start(root)).call("s3", "list_buckets")["Buckets"] == []


def test_a_stop_soon_after_a_start_leaves_nothing_of_the_run(root: Path) -> None:
    # Given an engine that loads CloudFormation in the background, whose modules write keys into its folder
    started = engine.start(root)
    aws(started).call("s3", "create_bucket", Bucket="kept")
    time.sleep(0.4)
    # When it is stopped meanwhile
    assert engine.stop(root)
    # Then only the save is there, and the next start finds it
    assert not folder(root).live.exists()
    assert [b["Name"] for b in aws(engine.start(root)).call("s3", "list_buckets")["Buckets"]] == ["kept"]
    engine.stop(root)


def test_a_start_after_a_kill_restores_the_last_save(root: Path) -> None:
    # Given a save, and changes of every kind since
    first = engine.start(root)
    url = aws(first).call("sqs", "create_queue", QueueName="jobs")["QueueUrl"]
    aws(first).call("sqs", "send_message", QueueUrl=url, MessageBody="saved")
    aws(first).call("s3", "create_bucket", Bucket="bucket")
    for key in ("left", "changed", "removed"):
        aws(first).call("s3", "put_object", Bucket="bucket", Key=key, Body=b"saved")
    engine.stop(root)
    second = engine.start(root, save_every_s=0)
    aws(second).call("sqs", "purge_queue", QueueUrl=url)
    aws(second).call("s3", "put_object", Bucket="bucket", Key="changed", Body=b"lost")
    aws(second).call("s3", "put_object", Bucket="bucket", Key="new", Body=b"lost")
    aws(second).call("s3", "delete_object", Bucket="bucket", Key="removed")
    # When
    os.killpg(second.pid, signal.SIGKILL)
    process.wait_gone(second.pid, folder(root).record().started, 5)  # type: ignore[union-attr]
    with pytest.raises(NotFoundError, match="since its last save, of 2"):
        engine.require(root)
    third = engine.start(root)
    # Then everything is as it was saved
    assert third.data_lost and "last save" in third.loss
    listed = aws(third).call("s3", "list_objects_v2", Bucket="bucket")["Contents"]
    keys = {entry["Key"] for entry in listed}
    bodies = {key: aws(third).call("s3", "get_object", Bucket="bucket", Key=key)["Body"].read() for key in keys}
    assert bodies == dict.fromkeys(("left", "changed", "removed"), b"saved")
    received = aws(third).call("sqs", "receive_message", QueueUrl=url)
    assert [message["Body"] for message in received["Messages"]] == ["saved"]


@pytest.mark.long
def test_a_start_after_a_kill_restores_what_was_saved_while_the_engine_ran(
    root: Path, wait_for: Callable[..., Any]
) -> None:
    # Given an engine that saves, and changes of every kind
    running = engine.start(root, save_every_s=0.2)
    url = aws(running).call("sqs", "create_queue", QueueName="jobs")["QueueUrl"]
    aws(running).call("s3", "create_bucket", Bucket="bucket")
    for n in range(20):
        aws(running).call("s3", "put_object", Bucket="bucket", Key=f"raw/{n}", Body=b"saved")
        aws(running).call("sqs", "send_message", QueueUrl=url, MessageBody="saved")
    aws(running).call("s3", "delete_object", Bucket="bucket", Key="raw/0")
    function = make_function(aws(running), "def handler(event, context):\n    return 1\n")
    aws(running).call("xray", "put_trace_segments", TraceSegmentDocuments=[json.dumps(SEGMENT)])
    changed = datetime.now(UTC).replace(microsecond=0)

    def is_saved() -> bool:
        aws(running).call("s3", "list_buckets")  # after a request the engine saves again
        at = engine.status(root).saved
        return at is not None and datetime.fromisoformat(at) > changed

    assert wait_for(is_saved, 180)
    # When
    os.kill(running.pid, signal.SIGKILL)
    process.wait_gone(running.pid, folder(root).record().started, 20)  # type: ignore[union-attr]
    saved = engine.status(root).saved
    assert saved is not None
    second = engine.start(root)
    # Then
    assert second.data_lost and f"since its last save, of {losses.when(saved)}," in second.loss
    assert aws(second).call("s3", "list_objects_v2", Bucket="bucket")["KeyCount"] == 19
    assert aws(second).call("s3", "get_object", Bucket="bucket", Key="raw/19")["Body"].read() == b"saved"
    count = "ApproximateNumberOfMessages"
    attributes = aws(second).call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=[count])["Attributes"]
    assert attributes[count] == "20"
    assert aws(second).call("lambda", "invoke", FunctionName=function)["Payload"].read() == b"1"
    assert len(aws(second).call("xray", "batch_get_traces", TraceIds=[SEGMENT["trace_id"]])["Traces"]) == 1
    assert not list(folder(root).path.glob("data.*"))


@pytest.mark.long
def test_a_reset_deletes_the_last_save_too(root: Path) -> None:
    # Given
    aws(engine.start(root, save_every_s=0)).call("s3", "create_bucket", Bucket="saved")
    engine.stop(root)
    running = engine.start(root)
    # When
    engine.reset(root)
    os.killpg(running.pid, signal.SIGKILL)
    process.wait_gone(running.pid, folder(root).record().started, 5)  # type: ignore[union-attr]
    # Then
    assert aws(engine.start(root)).call("s3", "list_buckets")["Buckets"] == []


def test_start_after_a_kill_says_that_data_was_lost(root: Path) -> None:
    # Given
    first = engine.start(root)
    os.kill(first.pid, signal.SIGKILL)
    process.wait_gone(first.pid, folder(root).record().started, 5)  # type: ignore[union-attr]
    # When
    second = engine.start(root)
    # Then
    assert second.data_lost
    assert not engine.start(root).data_lost


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes by their working folders")
def test_functions_end_with_the_engine_however_it_ends(root: Path, wait_for: Callable[..., Any]) -> None:
    place = folder(root).path
    for number in (signal.SIGKILL, signal.SIGTERM):
        # Given an engine with a function that is busy
        running = engine.start(root)
        made = make_slow_function(aws(running))
        caller = invoke_in_background(running, made)
        assert wait_for(lambda: len(processes_in(place)) >= 2), "the function's worker runs"
        # When
        if number is signal.SIGKILL:
            os.kill(running.pid, number)
        else:
            engine.stop(root)
        # Then
        assert wait_for(lambda: not processes_in(place), 15), "no process is left"
        caller.kill()
        caller.wait()


def test_nothing_is_left_outside_the_folder(root: Path) -> None:
    # Given
    running = engine.start(root)
    made = make_function(aws(running), "def handler(event, context):\n    return 1\n")
    aws(running).call("lambda", "invoke", FunctionName=made)
    workers = list(folder(root).tmp.glob("ministack-lambda-*"))
    # When
    engine.stop(root)
    # Then
    assert workers, "functions live in the state folder"
    assert not folder(root).tmp.exists()
    assert {path.name for path in root.iterdir()} == {".rtp"}


def test_the_x_ray_sdk_leaves_nothing_in_tmp(root: Path) -> None:
    # Given
    running = engine.start(root)
    code = (
        "import os\nfrom aws_xray_sdk.core import lambda_launcher, xray_recorder\n"
        "def handler(event, context):\n"
        "    return [lambda_launcher.TOUCH_FILE_PATH, os.path.exists(lambda_launcher.TOUCH_FILE_PATH)]\n"
    )
    # When
    made = make_function(aws(running), code)
    answer = aws(running).call("lambda", "invoke", FunctionName=made)
    # Then
    path, written = json.loads(answer["Payload"].read())
    assert written
    assert Path(path).resolve().is_relative_to(folder(root).tmp)


def test_only_this_user_can_read_the_state(root: Path) -> None:
    engine.start(root)
    assert folder(root).path.stat().st_mode & 0o777 == 0o700
    files = [path for path in folder(root).path.iterdir() if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}, files


def test_concurrent_starts_give_one_engine(root: Path) -> None:
    # When
    code = f"from pathlib import Path; from rtp.local import engine; print(engine.start(Path({str(root)!r})).pid)"
    starts = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [process.communicate() for process in starts]
    # Then
    assert {out for out, _ in answers} == {f"{engine.require(root).pid}\n"}, answers


def test_another_port_is_taken_when_the_usual_one_is_not_free(root: Path) -> None:
    with socket.socket() as other:
        # Given
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        # When somebody insists
        with pytest.raises(ConfigError, match=str(taken)) as caught:
            engine.start(root, port=taken)
        # Then it is refused, and nothing runs
        assert caught.value.code == "port-taken"
        assert engine.status(root).state == "stopped"
        # And without insisting another one is found
        folder(root).port_file.write_text(str(taken))
        assert engine.start(root).port != taken


def test_a_running_engine_does_not_move_to_another_port(root: Path) -> None:
    running = engine.start(root)
    with pytest.raises(RefusedError, match=str(running.port)):
        engine.start(root, port=1)


def test_a_folder_that_is_not_writable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".rtp").write_text("a file, where the folder should be")
    with pytest.raises(ConfigError) as caught:
        engine.start(tmp_path)
    assert caught.value.code == "folder-not-writable"
    assert engine.status(tmp_path).state == "stopped"


def test_a_reset_deletes_everything_and_the_engine_keeps_running(root: Path) -> None:
    # Given
    running = engine.start(root)
    aws(running).call("sqs", "create_queue", QueueName="gone")
    aws(running).call("xray", "put_trace_segments", TraceSegmentDocuments=[json.dumps(SEGMENT)])
    # When
    engine.reset(root)
    # Then
    assert engine.require(root).pid == running.pid
    assert not aws(running).call("sqs", "list_queues").get("QueueUrls")
    assert aws(running).call("xray", "batch_get_traces", TraceIds=[SEGMENT["trace_id"]])["Traces"] == []


def test_an_engine_of_an_interrupted_start_is_found(root: Path) -> None:
    # Given somebody who starts it and is gone before it is ready
    code = (
        "import os, subprocess\nfrom pathlib import Path\nfrom rtp.local import engine\n"
        "subprocess.run = lambda *a, run=subprocess.run, **k: (run(*a, **k), os._exit(0))\n"
        f"engine.start(Path({str(root)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    # When, Then
    deadline = time.monotonic() + 180
    while not engine.status(root).answers and time.monotonic() < deadline:
        time.sleep(0.05)
    assert engine.start(root).pid == engine.require(root).pid


def test_a_state_that_cannot_be_saved_leaves_no_partial_file(root: Path) -> None:
    # Given
    running = engine.start(root, save_every_s=0)
    aws(running).call("s3", "create_bucket", Bucket="half")
    aws(running).call("sqs", "create_queue", QueueName="half")
    state = folder(root).live / "state"
    state.mkdir(exist_ok=True)
    (state / "sqs.new").mkdir()  # where it would be written
    # When
    with pytest.raises(RtpError, match="lost"):
        engine.stop(root)
    # Then
    assert aws(engine.start(root)).call("s3", "list_buckets")["Buckets"] == []


@pytest.mark.long
def test_a_long_invocation_blocks_no_other_request(root: Path) -> None:
    # Given
    running = engine.start(root)
    made = make_slow_function(aws(running))
    caller = invoke_in_background(running, made)
    time.sleep(0.5)
    try:
        # When
        for _ in range(5):
            aws(running).call("s3", "list_buckets")
        # Then
        assert caller.poll() is None
    finally:
        caller.kill()
        caller.wait()


def test_the_user_s_environment_does_not_reach_functions(root: Path) -> None:
    # Given secrets in every place from which they could leak
    canary = "canary-7f3a"
    secrets = {
        "AWS_SESSION_TOKEN": canary,
        "AWS_PROFILE": canary,
        "AWS_ACCESS_KEY_ID": f"AKIA{canary}",
        "GITHUB_TOKEN": canary,
        "HTTPS_PROXY": f"http://{canary}",
        "PYTHONPATH": f"/{canary}",
        "HOME": f"/{canary}",
    }
    code = f"from pathlib import Path; from rtp.local import engine; engine.start(Path({str(root)!r}))"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **secrets}, check=True)
    running = engine.require(root)
    # When
    seen = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    made = make_function(aws(running), seen)
    answer = aws(running).call("lambda", "invoke", FunctionName=made)
    environment = json.loads(answer["Payload"].read())
    # Then
    assert canary not in json.dumps(environment)
    assert Path(environment["HOME"]).samefile(folder(root).home)
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert environment["AWS_CONFIG_FILE"] == "/dev/null"
    assert environment["AWS_ENDPOINT_URL"] == running.endpoint_url
    assert running.token not in json.dumps(environment)


SEGMENT = {
    "trace_id": "1-5759e988-bd862e3fe1be46a994272793",
    "id": "70de5b6f19ff9a0a",
    "name": "kept",
    "start_time": 1478293361.271,
    "end_time": 1478293361.449,
}


def make_function(cloud: Aws, code: str) -> str:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", code)
    made = cloud.call(
        "lambda",
        "create_function",
        FunctionName=f"f{time.time_ns()}",
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="app.handler",
        Code={"ZipFile": packed.getvalue()},
        Timeout=60,
    )
    return str(made["FunctionName"])


def make_slow_function(cloud: Aws) -> str:
    return make_function(cloud, SLOW)


def invoke_in_background(running: engine.Engine, name: str) -> subprocess.Popen[bytes]:
    url = f"{running.endpoint_url}/2015-03-31/functions/{name}/invocations"
    signature = f"AWS4-HMAC-SHA256 Credential={running.keys.access_key_id}/20270115/us-east-1/lambda/aws4_request"
    request = f"u.Request({url!r}, b'{{}}', {{'Authorization': {signature!r}}}, method='POST')"
    code = f"import urllib.request as u; u.urlopen({request})"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
