"""rtp.toml and the command line, resolved."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rtp.commands.session import Session
from rtp.config import Environment, Overrides, code_paths, reading, setting_table
from rtp.config.environments import explain, resolve
from rtp.errors import ConfigError, UsageError
from rtp.local.weather.choice import Weather
from rtp.ops.settings import listing
from rtp.terminal.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable


def read(folder: Path, toml: str, *, env: str | None = None, **overrides: str) -> Environment:
    (folder / "rtp.toml").write_text(toml)
    return resolve(Overrides(env=env, **overrides), cwd=folder, environ={})


def test_without_a_file_the_three_environments_exist(tmp_path: Path) -> None:
    local, dev, prod = (resolve(Overrides(env=e), cwd=tmp_path, environ={}) for e in ("local", "dev", "prod"))
    assert (local.embedded, local.local, local.protected) == (True, True, False)
    assert (dev.embedded, dev.local, dev.protected) == (False, False, False)
    assert (prod.embedded, prod.local, prod.protected) == (False, False, True)
    assert prod.names.stack == "realtime-processor-prod"


@pytest.mark.parametrize(
    ("env", "environ", "toml", "expected"),
    [
        ("dev", {"RTP_ENV": "prod"}, 'default_env = "prod"', "dev"),
        (None, {"RTP_ENV": "dev"}, 'default_env = "prod"', "dev"),
        (None, {}, 'default_env = "prod"', "prod"),
        (None, {"RTP_ENV": ""}, "", "local"),
    ],
)
def test_the_name_comes_from_the_first_source_that_has_one(
    tmp_path: Path, env: str | None, environ: dict[str, str], toml: str, expected: str
) -> None:
    (tmp_path / "rtp.toml").write_text(toml)
    assert resolve(Overrides(env=env), cwd=tmp_path, environ=environ).name == expected


def test_an_environment_inherits_from_defaults_and_records_the_origin_of_each_value(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text(
        'project = "shop"\n[defaults]\nmemory_mb = 1024\nbatch_size = 5\n[env.prod]\nmemory_mb = 2048\n'
    )
    found = explain(Overrides(env="prod", region="eu-west-1"), cwd=tmp_path, environ={})
    assert found.environment.settings.memory_mb == 2048
    assert found.environment.settings.batch_size == 5
    assert found.origins["memory_mb"] == "rtp.toml [env.prod]"
    assert found.origins["batch_size"] == "rtp.toml [defaults]"
    assert found.origins["region"] == "--region"
    assert "timeout_s" not in found.origins


def test_the_file_is_found_in_a_parent_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text('[processors]\npath = "processors.py"\n')
    (tmp_path / "processors.py").touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = resolve(cwd=below, environ={})
    assert found.root == tmp_path
    assert found.processors == (tmp_path / "processors.py").resolve()


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ("projekt = 'x'", "unknown key 'projekt'. Did you mean 'project'?"),
        ("[env.prod]\nmemry_mb = 512", "unknown key 'memry_mb' in [env.prod]. Did you mean 'memory_mb'?"),
        ("[env.staging]\nmemry_mb = 512", "[env.staging]"),  # not the requested environment, yet a mistake
        ("[processors]\nroot = 'x'", "unknown key 'root' in [processors]"),
        ("[env.prod]\nmemory_mb = 5", "memory_mb = 5: must be a whole number from 128 to 10,240"),
        ("[env.prod]\nmemory_mb = '512'", "must be a whole number"),
        ("[env.prod]\nmemory_mb = true", "must be a whole number"),
        ("[env.prod]\nmemory_mb = 512.5", "must be a whole number"),
        ("[env.prod]\narchitecture = 'arm'", "one of arm64, x86_64"),
        ("[env.prod]\nalarm_emails = 'a@b.c'", "a list of e-mail addresses"),
        ("[env.prod]\nalarm_emails = ['nobody']", "a list of e-mail addresses"),
        ("[env.prod]\nprotected = 'yes'", "[env.prod] protected = 'yes': must be true or false"),
        ("[env.prod]\naccount = '1234'", "12 digits"),
        ("[env.prod]\naccount = 111122223333", "account = 111122223333: must be 12 digits, in quotes"),
        ("[env.prod]\nregion = 'virginia'", "must be an AWS region"),
        ("[env.Prod]", "environment name 'Prod' is not allowed"),  # would collide with prod in most of AWS's names
        ("project = 'My Shop'", "project name 'My Shop' is not allowed"),
        ("project = 'a23456789012345678901'", "is not allowed"),
        ("[env]\nprod = 1", "[env.prod] must be a table"),
        ("defaults = 1", "defaults must be a table"),
        ("env = 1", "env must be a table"),
        ("project = 1", "project = 1: must be text in quotes"),
        ("[env.prod]\nalarm_emails = ['a@b.c', 1]", "a list of e-mail addresses"),
        ("[env.prod]\nlog_retention_days = 2", "must be one of 1, 3, 5"),
        ("[env.prod]\nprofile = 3", "profile = 3: must be text in quotes"),
        ("[processors]\nrequirements = 1", "requirements = 1: must be a path in quotes, or { file ="),
        ("[processors]\nrequirements = { file = 'pyproject.toml', extras = ['x'] }", "must be a path in quotes, or {"),
        ("[processors]\nrequirements = { extra = 'x' }", "must be a path in quotes, or { file ="),
        ("[processors]\nrequirements = { file = 'r.txt', extra = 'x' }", "r.txt has no extras and no groups"),
        ("[processors]\npath = ['a.py']", "path = ['a.py']: must be text in quotes"),
        ("[env.prod]\nqueue_retention_days = 10\ndlq_retention_days = 4", "more than dlq_retention_days"),
        ("[env.prod]\nallowed_cidrs = ['192.0.2.7/24']", "'192.0.2.7/24' is an address within a network"),
        ("[env.prod]\nallowed_cidrs = ['2001:db8::1/64']", "is an address within a network"),
        ("[env.prod]\nallowed_cidrs = ['192.0.2.0/33']", "'192.0.2.0/33' is not a network"),
        ("[env.prod]\nallowed_cidrs = ['192.0.2.7']", 'a list of networks such as "192.0.2.0/24"'),
        ("[env.prod]\nallowed_cidrs = '192.0.2.0/24'", 'a list of networks such as "192.0.2.0/24"'),
        ("[env.prod]\nauth = 'none'", "must be one of key, iam"),
        ("[env.prod]\nwaf_acl_arn = 'acl'", "the ARN of a regional web ACL"),
        (
            "[env.prod]\nregion = 'us-west-2'\n"
            "waf_acl_arn = 'arn:aws:wafv2:us-east-1:111122223333:regional/webacl/a/b'",
            "is a web ACL of us-east-1, and prod is in us-west-2",
        ),
        ("[env.local]\nendpoint_url = 'http://example.com:4566'", "only an endpoint on this machine"),
        ("[env.prod]\nendpoint_url = 'localhost:4566'", "not a URL"),
        ("[env.prod]\nendpoint_url = 'http://localhost:99999'", "not a URL"),
        ("[env.prod]\nendpoint_url = 'http://[::1'", "not a URL"),
        ("[env.prod]\nendpoint_url = 'http://u:hun ter2@127.0.0.1'", "has a user name"),
        ("[env.prod]\nendpoint_url = 'https://192.0.2.2:1\\@sts.amazonaws.com'", "has a user name"),
        ("[env.prod\n", "rtp.toml"),
        ("\xff".encode("latin-1").decode("latin-1") + " = ", "rtp.toml"),
    ],
)
def test_a_mistake_is_reported_with_the_allowed_values(tmp_path: Path, toml: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, toml, env="prod" if "env.local" not in toml else "local")
    assert text in caught.value.message
    assert "rtp.toml" in caught.value.message or "endpoint_url" in caught.value.message


def test_code_that_is_not_there_stops_only_who_uses_it(tmp_path: Path) -> None:
    # Given paths that lead nowhere, and to a pipe
    os.mkfifo(tmp_path / "pipe")
    toml = "[processors]\npath = 'nowhere.py'\nrequirements = 'pipe'\n[infra]\nextend = 'a/infra.py'\n"
    # Then a reader has its environment, and who needs the code learns which path of which key is wrong
    environment = read(tmp_path, toml)
    for checked, text in (
        (code_paths.processors, r"\[processors\] path: .*nowhere.py does not exist"),
        (code_paths.requirements, r"\[processors\] requirements: .*pipe is a pipe"),
        (code_paths.extension, r"\[infra\] extend: .*a/infra.py does not exist"),
    ):
        with pytest.raises(ConfigError, match=text):
            checked(environment)


def test_a_queue_may_keep_messages_as_long_as_its_dlq(tmp_path: Path) -> None:
    toml = "[env.prod]\nqueue_retention_days = 4\ndlq_retention_days = 4"
    assert read(tmp_path, toml, env="prod").settings.queue_retention_days == 4


def test_networks_of_both_kinds_and_single_addresses_are_accepted(tmp_path: Path) -> None:
    toml = "[env.prod]\nallowed_cidrs = ['192.0.2.0/24', '198.51.100.7/32', '2001:0DB8::/32', '0.0.0.0/0']"
    assert len(read(tmp_path, toml, env="prod").settings.allowed_cidrs) == 4


def test_an_empty_name_does_not_select_the_default(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--env is empty"):
        resolve(Overrides(env=""), cwd=tmp_path, environ={})


def test_an_unknown_environment_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'prod'") as caught:
        read(tmp_path, "", env="prd")
    assert caught.value.code == "unknown-env"


def test_a_bucket_name_that_s3_would_refuse_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="S3 takes 63"):
        read(tmp_path, "project = 'a2345678901234567890'\n[env.b2345678901234567890]", env="b2345678901234567890")


def test_any_environment_may_use_another_engine(tmp_path: Path) -> None:
    found = read(tmp_path, "[env.ci]\nendpoint_url = 'http://127.0.0.1:4566'", env="ci")
    assert (found.local, found.embedded) == (True, False)


@pytest.mark.parametrize("name", sorted(setting_table.table()))
def test_every_setting_has_a_description_and_an_allowed_default(name: str) -> None:
    setting = setting_table.table()[name]
    assert setting.description in setting_table.about(setting)
    if setting.default is not None:
        value = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        assert reading.section({name: value}, "rtp.toml", "[defaults]") == {name: setting.default}


def test_requirements_may_name_extras_and_groups_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    toml = '[processors]\nrequirements = { file = "pyproject.toml", extra = "data", group = ["a", "b"] }'
    found = read(tmp_path, toml)
    assert found.requirements == (tmp_path / "pyproject.toml").resolve()
    assert (found.requirement_extras, found.requirement_groups) == (("data",), ("a", "b"))
    listed = {s.key: s for s in listing(explain(cwd=tmp_path, environ={})).settings}
    assert listed["requirements.extra"].value == ["data"]
    assert listed["requirements.group"].origin == "rtp.toml [processors]"


PERMISSION = '{ actions = ["dynamodb:GetItem"], resources = ["arn:{partition}:dynamodb:{region}:{account}:table/x"] }'


def test_permissions_of_an_environment_are_added_and_a_vpc_is_merged_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text(
        f"[defaults]\npermissions = [{PERMISSION}]\n"
        'vpc = { subnets = ["subnet-0123abcd"], security_groups = ["sg-0123abcd"] }\n'
        'layers = ["arn:aws:lambda:us-east-1:111122223333:layer:a:1"]\n'
        '[env.dev]\npermissions = [{ actions = ["s3:Get*"], resources = ["arn:aws:s3:::b/${aws:username}/*"] }]\n'
        'vpc = { subnets = ["subnet-0123abce"] }\n'
        'layers = ["arn:aws:lambda:{region}:111122223333:layer:b:2"]\n'
    )
    found = explain(Overrides(env="dev"), cwd=tmp_path, environ={})
    settings = found.environment.settings
    assert [p.actions for p in settings.permissions] == [("dynamodb:GetItem",), ("s3:Get*",)]
    assert (settings.vpc.subnets, settings.vpc.security_groups) == (("subnet-0123abce",), ("sg-0123abcd",))
    assert settings.layers == ("arn:aws:lambda:{region}:111122223333:layer:b:2",)
    assert found.origins["permissions"] == found.origins["vpc"] == "rtp.toml [defaults], rtp.toml [env.dev]"
    assert found.origins["layers"] == "rtp.toml [env.dev]"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ('actions = ["GetItem"], resources = ["arn:aws:s3:::b"]', "'GetItem' is not an action of IAM"),
        ('actions = ["*:*"], resources = ["arn:aws:s3:::b"]', "'*:*' is not an action of IAM"),
        ('actions = [], resources = ["arn:aws:s3:::b"]', "actions is empty"),
        ('actions = ["s3:GetObject"], resources = ["b"]', "'b' is not an ARN"),
        ('actions = ["s3:GetObject"], resources = ["arn:aws:s3:::{bukket}"]', "unknown placeholder {bukket}"),
        ('actions = ["s3:GetObject"], resources = ["arn:aws-cn:s3:::b"]', "of the partition aws-cn"),
        ('actions = ["s3:GetObject"], resources = ["*"]', "* alone means every resource"),
        ('actions = ["*"], resources = ["arn:aws:s3:::b"]', "* alone means every action"),
        ('actions = ["ses:SendEmail"], resources = ["*"], allow_wildcard = true', "allow_wildcard needs a reason"),
        ('actions = ["s3:GetObject"]', "missing required field `resources`"),
        ('actions = ["s3:GetObject"], resource = ["x"]', "unknown field `resource`"),
        ('actions = "s3:GetObject", resources = ["x"]', "Expected `array`"),
    ],
)
def test_a_wrong_permission_is_refused_with_the_fix(tmp_path: Path, entry: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"[env.dev]\npermissions = [{{ {entry} }}]", env="dev")
    assert text in caught.value.message
    assert caught.value.hint


def test_a_wildcard_stands_with_its_reason(tmp_path: Path) -> None:
    entry = 'actions = ["ses:SendEmail"], resources = ["*"], allow_wildcard = true, reason = "the sender is checked"'
    found = read(tmp_path, f"[env.dev]\npermissions = [{{ {entry} }}]", env="dev")
    assert found.settings.permissions[0].reason == "the sender is checked"


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ('vpc = { subnets = ["subnet-0123abcd"] }', "vpc has no security_groups"),
        ('vpc = { subnets = ["x"], security_groups = ["sg-0123abcd"] }', "vpc: Expected `str` matching"),
        ('layers = ["ffmpeg"]', "is not the ARN of a layer version"),
        ('layers = ["arn:aws:lambda:eu-west-1:111122223333:layer:a:1"]', "is in eu-west-1"),
        ('layers = ["a", "b", "c", "d", "e"]', "at most 4 ARNs"),
        ("snap_start = true\nephemeral_storage_mb = 1024", "snap_start and ephemeral_storage_mb"),
        ("enforce_iam = true", "enforce_iam is set in [env.dev]"),
        ("save_every_s = 10", "save_every_s is set in [env.dev]"),
        ("save_every_s = -1", "save_every_s"),
    ],
)
def test_a_wrong_network_layer_or_size_is_refused(tmp_path: Path, toml: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"[env.dev]\n{toml}", env="dev")
    assert text in caught.value.message


def test_another_emulator_cannot_be_made_to_enforce_permissions(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be combined"):
        read(tmp_path, "[env.local]\nenforce_iam = true\nendpoint_url = 'http://127.0.0.1:1'")


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_bytes(b'\xef\xbb\xbfproject = "shop"\r\n\r\n[defaults]\r\n\tmemory_mb = 1024\r\n')
    found = resolve(cwd=tmp_path, environ={})
    assert (found.project, found.settings.memory_mb) == ("shop", 1024)


def a_dangling_link(file: Path) -> None:
    file.symlink_to("../missing/rtp.toml")


def a_link_to_itself(file: Path) -> None:
    file.symlink_to(file)


def a_pipe(file: Path) -> None:
    os.mkfifo(file)


def a_socket(file: Path) -> None:
    with contextlib.chdir(file.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(file.name)  # the path of a socket has 108 characters at most


def a_device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def a_file_in_utf16(file: Path) -> None:
    file.write_text('project = "shop"', encoding="utf-16")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (a_dangling_link, "is a link to ../missing/rtp.toml, which does not exist"),
        (a_link_to_itself, "cannot be read"),
        (Path.mkdir, "is a folder and no file"),
        (a_pipe, "is a pipe and no file"),
        (a_socket, "is a socket and no file"),
        (a_device, "is a device and no file"),
        (a_file_in_utf16, "is not UTF-8 text"),
    ],
)
def test_what_is_no_readable_file_is_an_error_and_never_another_project(
    tmp_path: Path, make: Callable[[Path], None], text: str
) -> None:
    # Given a project with a folder in it that has an rtp.toml of its own, which cannot be read
    (tmp_path / "rtp.toml").write_text('project = "parent"')
    (tmp_path / "child").mkdir()
    make(tmp_path / "child" / "rtp.toml")
    # When a command runs there / Then it does not act on the project above
    with pytest.raises(ConfigError, match=re.escape(text)) as caught:
        resolve(cwd=tmp_path / "child", environ={})
    assert str(tmp_path / "child" / "rtp.toml") in caught.value.message


@pytest.mark.parametrize(("make", "kind"), [(a_pipe, "pipe"), (a_socket, "socket"), (a_device, "device")])
@pytest.mark.parametrize("key", ["path", "requirements"])
def test_a_path_that_is_neither_a_file_nor_a_folder_is_named(
    tmp_path: Path, key: str, make: Callable[[Path], None], kind: str
) -> None:
    make(tmp_path / "x")
    environment = read(tmp_path, f'[processors]\n{key} = "x"\n')
    with pytest.raises(ConfigError, match=rf"\[processors\] {key}: \S+ is a {kind}"):
        (code_paths.processors if key == "path" else code_paths.requirements)(environment)


@pytest.mark.parametrize(
    ("text", "toml", "expected"),
    [
        ("", "", None),
        ("", "[env.local]\nweather = 7", Weather(7)),
        ("8", "[env.local]\nweather = 7", Weather(8)),
        ("false", "[env.local]\nweather = true", None),
        ("8", '[env.local]\nweather_effects = ["resets"]', Weather(8, ("resets",))),
    ],
)
def test_the_weather_of_the_variable_goes_before_that_of_the_file(
    tmp_path: Path, text: str, toml: str, expected: Weather | None
) -> None:
    (tmp_path / "rtp.toml").write_text(toml)
    session = Session(Overrides(), Output())
    session.environment = resolve(Overrides(), cwd=tmp_path, environ={"RTP_WEATHER": text})
    assert session.weather == expected


def test_the_weather_of_the_variable_is_the_embedded_engine_s_alone(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text("")
    for overrides in (Overrides(env="dev"), Overrides(endpoint_url="http://127.0.0.1:4566")):
        assert resolve(overrides, cwd=tmp_path, environ={"RTP_WEATHER": "7"}).weather is False


def test_a_weather_that_no_engine_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RTP_WEATHER='soon' is not true, false or a seed"):
        resolve(Overrides(), cwd=tmp_path, environ={"RTP_WEATHER": "soon"})
    with pytest.raises(ConfigError, match="weather is the local engine's"):
        read(tmp_path, "[env.dev]\nweather = 7", env="dev")
