"""The message about a group of failures on the engine: from the dead event to the webhook of a chat."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.events.conftest import PROCESSORS, SETTINGS, Pipeline
from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.conftest import Project


class Chat:
    """A webhook on loopback, and what it has received."""

    def __init__(self) -> None:
        received: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def chat() -> Iterator[Chat]:
    made = Chat()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


NOTIFIED = '\n[env.local]\nalarm_causes = true\nenforce_iam = true\nsecrets = ["CHAT"]\nalarm_webhook = "CHAT"\n'


def test_a_dead_event_is_reported_once_with_the_command_that_shows_its_group(project: Project, chat: Chat) -> None:
    # Given a pipeline whose messages go to the alarm topic and to a chat, with its roles enforced
    pipeline = Pipeline(project, project.root / "fixed")
    (project.root / "processors.py").write_text(PROCESSORS.replace("FLAG", repr(str(pipeline.flag))))
    (project.root / "rtp.toml").write_text(SETTINGS + NOTIFIED)
    (project.root / ".env.local").write_text(f"CHAT={chat.address}\n")
    project.rtp("deploy", "--yes")

    # When events die of one cause
    pipeline.kill_orders(3, data='{"card": "4111111111111111"}')

    # Then the chat has one message, with the cause, the release and the command, and nothing of the events
    (text,) = until(lambda: [body["text"] for body in chat.received])
    (group,) = until(lambda: [g for g in project.rtp("triage", "--json", ok=False).json["groups"] if g["dead"]])
    assert f"KeyError at {group['at']}" in text and f"(group {group['id']})" in text
    assert f"since release {group['release']}" in text and "4111" not in text and "total" not in text
    command = text.splitlines()[-1].removeprefix("Run: rtp ").split()
    assert group["id"] in project.rtp(*command).stdout
    pipeline.kill_orders(1)
    assert len(chat.received) == 1

    # And a group that is muted is silent, another one is not
    project.rtp("triage", "mute", group["id"], "--until", "1h")
    pipeline.kill_orders(1)
    pipeline.kill_orders(1, kind="bad", data='{"why": "no"}')
    until(lambda: len(chat.received) == 2)
    assert "of type `bad` died" in chat.received[1]["text"]
