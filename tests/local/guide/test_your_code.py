"""docs/your-code.md in a fresh folder: its files, its commands, and a private index, with permissions enforced."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.events.conftest import wait_for
from tests.unit.docs.test_your_code_page import COMMANDS, FILES, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.conftest import Project

ADDRESS = "https://${PACKAGES_USER}:${PACKAGES_PASSWORD}@packages.example.com"
USER, PASSWORD, TOKEN = "reader", "index-canary-71c2", "token-canary-9d4e"
# A call that the page's permissions do not allow, in a processor of its own.
DENIED = """

@processor("test.denied")
def denied(event: Event) -> dict:
    return boto3.client("dynamodb").scan(TableName=os.environ["RATES_TABLE"])
"""
TAX = "def with_tax(total, country):\n    return total * {'PT': 2}[country]\n"


def _wheel() -> bytes:
    info = "shop_tax-1.0.dist-info"
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("shop_tax.py", TAX)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: shop-tax\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return packed.getvalue()


@contextmanager
def private_index() -> Iterator[tuple[str, list[str]]]:
    """An index of one package on this machine that asks for a password; its address, and the paths it has served."""
    wheel, served = _wheel(), list[str]()
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    link = f'<a href="/shop_tax-1.0-py3-none-any.whl#sha256={hashlib.sha256(wheel).hexdigest()}">shop_tax</a>'
    pages = {"/simple/shop-tax/": link.encode(), "/shop_tax-1.0-py3-none-any.whl": wheel}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != expected:
                self._answer(401, b"")
            elif self.path in pages:
                served.append(self.path)
                self._answer(200, pages[self.path])
            else:
                self._answer(404, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", served
        finally:
            server.shutdown()


@pytest.mark.long
def test_the_page_s_project_works_with_permissions_enforced(project: Project) -> None:
    with private_index() as (host, served):
        # Given the page's files, with an index and a password of this machine's
        write(project.root)
        requirements = FILES["requirements.txt"]
        assert ADDRESS in requirements
        address = ADDRESS.replace("https://", "http://").replace("packages.example.com", host)
        (project.root / "requirements.txt").write_text(requirements.replace(ADDRESS, address))
        (project.root / "processors.py").write_text(FILES["processors.py"] + DENIED)
        variables = {"PACKAGES_USER": USER, "PACKAGES_PASSWORD": PASSWORD}
        # When its commands are run one after the other
        assert COMMANDS[0].startswith("export PACKAGES_USER=")
        shown = {command: shell(project, command, variables) for command in COMMANDS[1:]}
        # Then the private package was fetched, and an event used all of it
        assert "/simple/shop-tax/" in served
        (sent,) = (text for command, text in shown.items() if command.startswith("rtp send"))
        assert '{"cents": 5500, "country": "Portugal", "signed": true}' in sent
        assert "pandas" in shown["rtp processors"] and "shop_tax" in shown["rtp processors"]
        assert "shop-dev.template.json" in shown["rtp synth -e dev"]
    # And the upload became an event by the bucket's notification
    wait_for(lambda: "upload.created" in project.rtp("records").stdout)
    # And a call without permission fails, with the entry that would allow it
    send = project.rtp("send", "--type", "test.denied", "--data", "{}", "--wait", ok=False)
    entry = 'permissions = [{ actions = ["dynamodb:Scan"], resources = '
    assert send.code == 1 and entry in send.stdout
    assert entry in project.rtp("show", send.stdout.split()[1]).stdout
    # And neither password is in anything that was shown or built
    assert [command for command, text in shown.items() if PASSWORD in text or TOKEN in text] == []
    built = [f for folder in ("cdk", "assets", "layers") for f in (project.root / ".rtp" / folder).rglob("*.*")]
    assert [f for f in built if f.is_file() and holds(f, PASSWORD, TOKEN)] == []


def shell(project: Project, command: str, variables: dict[str, str]) -> str:
    """Run a line of the page as a person would; the secret's value is what is typed. Returns what it shows."""
    bin = Path(sys.executable).parent
    env = project.environ(variables)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project.root,
        env=env | {"PATH": f"{bin}:{env['PATH']}"},
        input=TOKEN if "secrets set" in command else "",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def holds(file: Path, *texts: str) -> bool:
    """Whether a file, or a member of a zip, contains one of the texts."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            small = (info for info in packed.infolist() if info.file_size < 100_000)
            return any(text.encode() in packed.read(info) for info in small for text in texts)
    return any(text.encode() in file.read_bytes() for text in texts)
