"""The frame: help, laziness, the error boundary, exit codes."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rtp import __version__, cli, errors
from rtp.text import suggest


def rtp(*argv: str, cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtp", *argv],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version() -> None:
    done = rtp("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"rtp {__version__}\n", "")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_help_in_the_table_begins_the_help_of_its_command(name: str) -> None:
    command = cli.load(name)
    assert command.help, name
    # The list has room for the beginning; the command's own page says it in full.
    assert command.help.replace("\n", " ").startswith(cli.COMMANDS[name].help.rstrip("."))


def test_help_lists_every_command() -> None:
    done = rtp("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in cli.COMMANDS)


def test_a_misspelt_command_gets_a_suggestion() -> None:
    done = rtp("depoy")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'deploy'" in done.stderr


def test_help_shows_the_page_of_a_command() -> None:
    assert rtp("help", "dlq", "redrive").stdout == rtp("dlq", "redrive", "--help").stdout
    assert rtp("help").stdout == rtp("--help").stdout
    unknown = rtp("help", "depoy")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "Did you mean 'deploy'" in unknown.stderr


def test_version_names_what_rtp_runs_with() -> None:
    versions = json.loads(rtp("version", "--json").stdout)
    assert versions["rtp"] == __version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(versions[part] for part in ("engine", "cdk_library", "cdk_cli", "boto3", "xray_sdk"))
    assert f"rtp           {__version__}" in rtp("version").stdout


def test_the_project_may_be_another_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, elsewhere = tmp_path / "shop", tmp_path / "elsewhere"
    for folder in (shop, elsewhere):
        folder.mkdir()
    (shop / "rtp.toml").write_text('project = "shop"\n')

    def project(*argv: str) -> str:
        settings = json.loads(rtp(*argv, "--json", cwd=elsewhere).stdout)["settings"]
        return next(str(setting["value"]) for setting in settings if setting["key"] == "project")

    assert project("config") == "realtime-processor"
    assert project("config", "-C", "../shop") == "shop"
    assert project("config", f"--project-dir={shop}") == "shop"
    assert project("-C", "../shop", "config") == project("-C../shop", "config") == "shop"
    monkeypatch.setenv("RTP_PROJECT", str(shop))
    assert project("config") == "shop"
    refused = rtp("config", "-C", "nowhere", cwd=elsewhere)
    assert refused.returncode == 2
    assert "--project-dir='nowhere' is not a folder" in refused.stderr


def test_the_wrong_folder_is_named_and_nothing_is_deployed_from_it(tmp_path: Path) -> None:
    deploy = rtp("deploy", "--yes", "-e", "dev", "--region", "eu-west-1", cwd=tmp_path)
    assert deploy.returncode == 5
    assert "no rtp.toml here or above" in deploy.stderr and "--built-in" in deploy.stderr
    status = rtp("status", cwd=tmp_path)
    assert status.returncode == 4
    assert "no rtp.toml here or above" in status.stderr and "-C DIR" in status.stderr
    (tmp_path / "rtp.toml").touch()
    assert "rtp.toml" not in rtp("status", cwd=tmp_path).stderr


def test_usage_errors_follow_json(tmp_path: Path) -> None:
    done = rtp("records", "--limit", "x", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "usage"
    assert done.stderr == ""


def test_an_option_without_a_value_names_the_help_of_its_command(tmp_path: Path) -> None:
    assert "See `rtp replay --help`" in rtp("replay", "--id", cwd=tmp_path).stderr


def test_settings_are_shown_as_they_are_written_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text('[env.local]\nprotected = true\nalarm_emails = ["a@example.com"]\n')
    words = [line.split() for line in rtp("config", cwd=tmp_path).stdout.splitlines()]
    rows = {w[0]: w[1] for w in words if len(w) > 1}
    assert (rows["protected"], rows["snap_start"], rows["account"]) == ("true", "false", "-")
    assert rows["alarm_emails"] == "a@example.com"


def test_an_expected_failure_has_an_exit_code_and_no_traceback(tmp_path: Path) -> None:
    done = rtp("records", "--env", "nowhere", cwd=tmp_path)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "nowhere" in done.stderr


def test_exit_codes_are_the_documented_ones() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.RtpError)]
    assert {c.__name__: int(c.exit_code) for c in classes} == {
        "RtpError": 1,
        "AwsError": 1,
        "EndpointError": 1,
        "MissingError": 4,
        "UsageError": 2,
        "ConfigError": 3,
        "CredentialsError": 3,
        "NotFoundError": 4,
        "RefusedError": 5,
        "WaitTimeoutError": 6,
    }
    assert {c.name: int(c) for c in errors.ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "CONFIG": 3,
        "NOT_FOUND": 4,
        "REFUSED": 5,
        "TIMED_OUT": 6,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


def test_a_reader_that_closes_stdout_causes_no_error() -> None:
    argv = [sys.executable, "-m", "rtp", "config", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        assert (child.wait(30), child.stderr.read()) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full is Linux's /dev/full here")
def test_a_full_disk_is_reported_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        argv = [sys.executable, "-m", "rtp", "config", "--json"]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: No space left on device: standard output\n  fix: Free disk space.\n",
    )


@pytest.mark.parametrize(
    ("command", "code", "text"), [("config --json >&-", 0, ""), ("send - <&-", 2, "standard input is empty")]
)
def test_a_closed_stream_counts_as_empty(command: str, code: int, text: str) -> None:
    shell = ["/bin/sh", "-c", f"exec {sys.executable} -m rtp {command}"]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, text in done.stderr, "Traceback" in done.stderr) == (code, True, False)


def test_following_ends_when_its_reader_does_even_without_output(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "rtp", "local", "logs", "--follow"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        assert (child.wait(30), child.stderr.read()) == (0, b"")


@pytest.mark.parametrize(
    ("args", "hint", "shown"),
    [
        (["status", "-e", "prod"], "Run `rtp deploy`.", "Run `rtp deploy --env=prod`."),
        (
            ["status", "--env=prod"],
            "`rtp show 1` or `rtp status`",
            "`rtp show --env=prod 1` or `rtp status --env=prod`",
        ),
        (["status"], "Run `rtp deploy`.", "Run `rtp deploy`."),
        (["status", "-C", "a b"], "`rtp deploy`", "`rtp deploy --project-dir='a b'`"),
        (["status", "-Cshop", "-e", "prod"], "`rtp local start`", "`rtp local start --project-dir=shop`"),
        (["status", "-C", "shop"], "`rtp init`", "`rtp init`"),
        (["status", "-eprod"], "`rtp config -e dev`", "`rtp config -e dev`"),
        (["status", "-e", "prod"], "See `rtp local status` or `rtp send --help`.", None),
        (
            ["status", "-e", "prod"],
            "rtp keeps it; see `rtp show -- -e`",
            "rtp keeps it; see `rtp show --env=prod -- -e`",
        ),
        (["show", "--", "--env=prod"], "Run `rtp deploy`.", None),
        (
            ["status", "--profile", "a b", "--region=eu-west-1"],
            "`rtp deploy`",
            "`rtp deploy --profile='a b' --region=eu-west-1`",
        ),
        (
            ["status", "--endpoint-url", "http://[::1]:1/?a=1&b"],
            "`rtp dlq undo`",
            "`rtp dlq undo --endpoint-url='http://[::1]:1/?a=1&b'`",
        ),
        (
            ["status", "-e", "`rm -rf`", "--profile", "a\nb"],
            "Run `rtp deploy`.",
            "Run `rtp deploy --env=ENV --profile=PROFILE`.",
        ),
    ],
)
def test_a_hint_can_be_pasted_and_acts_on_the_same_environment(args: list[str], hint: str, shown: str | None) -> None:
    assert suggest.placed(hint, suggest.where(args)) == (hint if shown is None else shown)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full is Linux's /dev/full here")
def test_a_full_disk_names_the_file_that_was_written() -> None:
    full = Path("/dev/full")

    def as_text() -> None:
        full.write_text("x")

    def by_descriptor(path: Path) -> None:
        with os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
            file.write(b"x")

    def by_name() -> None:
        with open("/dev/full", "w") as file:  # noqa: PTH123 - a name that is no Path
            file.write("x")

    for write in (as_text, lambda: by_descriptor(full), by_name):
        with pytest.raises(OSError, match="No space left") as caught:
            write()
        assert cli._written(caught.value) == "/dev/full"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("send", "--type", "a", "--data", "{}", "--rate", "nan"), "--rate"),
        (("send", "--type", "a", "--data", "{}", "--timeout", "1e300"), "--timeout"),
        (("status", "--watch", "--interval", "inf"), "--interval"),
        (("replay", "--rate", "inf"), "--rate"),
        (("dlq", "redrive", "--all", "--timeout", "nan"), "--timeout"),
        (("dlq", "inspect", "--limit", "9" * 400), "--limit"),
        (("destroy", "--drain", "--timeout", "inf"), "--timeout"),
    ],
    ids=["send rate", "send timeout", "status", "replay", "redrive", "inspect", "destroy"],
)
def test_a_number_that_no_option_has_a_use_for_is_refused(words: tuple[str, ...], option: str, tmp_path: Path) -> None:
    done = rtp(*words, cwd=tmp_path)
    assert done.returncode == 2 and option in done.stderr and "Traceback" not in done.stderr
