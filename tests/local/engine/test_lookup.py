"""An environment whose endpoint_url is an engine on this machine: whose key rtp uses, and whose it never sends."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from rtp.local import lookup
from tests.local.conftest import Project
from tests.local.engine.outside import Proxy
from tests.users import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rtp.local.engine import Engine

OF_AWS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
NOT_DEPLOYED, CREDENTIALS = 4, 3


@pytest.fixture
def proxied(engine: Engine) -> Iterator[Proxy]:
    with Proxy(engine.port) as proxy:
        yield proxy


def far(project: Project, url: str) -> None:
    (project.root / "rtp.toml").write_text(f'[env.far]\nendpoint_url = "{url}"\n')


@pytest.mark.parametrize("environ", [{}, OF_AWS, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}])
def test_the_engine_of_another_project_of_this_user_is_found(
    project: Project, engine: Engine, environ: dict[str, str]
) -> None:
    far(project, engine.endpoint_url)
    done = project.rtp("status", "--env", "far", env=environ, ok=False)
    assert done.code == NOT_DEPLOYED, done


def test_the_key_in_the_environment_goes_through_a_proxy(project: Project, engine: Engine, proxied: Proxy) -> None:
    # Given an address behind which nobody can look
    far(project, proxied.url)
    # When the key of the engine is in the environment
    key, secret = engine.keys
    given = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    # Then it is used
    assert project.rtp("status", "--env", "far", env=given, ok=False).code == NOT_DEPLOYED


@pytest.mark.parametrize("environ", [{}, OF_AWS])
def test_without_the_key_the_error_says_where_to_get_it(
    project: Project, proxied: Proxy, environ: dict[str, str]
) -> None:
    far(project, proxied.url)
    done = project.rtp("status", "--env", "far", "--json", env=environ, ok=False)
    assert done.code == CREDENTIALS, done
    error = done.json["error"]
    assert error["code"] == "credentials" and "rtp local env" in error["hint"] and proxied.url in error["message"]
    # And no key of AWS was sent
    assert proxied.authorizations and not any("AKIA" in given for given in proxied.authorizations)


def test_a_proxy_before_the_project_s_own_engine_needs_nothing(engine_root: Path, proxied: Proxy) -> None:
    assert Project(engine_root).rtp("status", "--endpoint-url", proxied.url, ok=False).code == NOT_DEPLOYED


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[int]:
    """A port on which another user listens in the block."""
    if os.getuid() != 0:
        pytest.skip("there is no other user to try it as")
    read, write = os.pipe()
    go_on = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            listener.bind((host, port))
            listener.listen()
            os.write(write, str(listener.getsockname()[1]).encode())
            os.read(go_on[0], 1)
        os._exit(0)
    try:
        yield int(os.read(read, 16))
    finally:
        os.write(go_on[1], b"x")
        os.waitpid(child, 0)
        for descriptor in (read, write, *go_on):
            os.close(descriptor)


def test_another_user_s_listener_never_gets_the_project_s_key(engine: Engine, engine_root: Path) -> None:
    with listening("127.0.0.1") as port:
        assert lookup.keys_for(f"http://127.0.0.1:{port}", engine_root, {}) is None
        assert lookup.keys_for(engine.endpoint_url, engine_root, {}) == engine.keys


@pytest.mark.parametrize(("host", "name"), [("::1", "[::1]"), ("::1", "localhost"), ("127.0.0.2", "127.0.0.2")])
def test_the_engine_s_port_under_another_name_of_this_machine_may_be_another_user_s(
    engine: Engine, engine_root: Path, host: str, name: str
) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("there is no IPv6")
    url = f"http://{name}:{engine.port}"
    assert lookup.keys_for(url, engine_root, {}) == engine.keys
    with listening(host, engine.port):
        assert lookup.keys_for(url, engine_root, {}) is None
        assert lookup.keys_for(engine.endpoint_url, engine_root, {}) == engine.keys
