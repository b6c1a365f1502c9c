"""What must hold before anything is changed: account, bootstrap, concurrency, one deploy at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.config.settings import Settings
from rtp.errors import AwsError, ConfigError, CredentialsError, RefusedError
from rtp.ops import doctor, doctor_account
from rtp.ops.access import guard, lock
from rtp.ops.stack.build import bootstrap, limits
from tests.unit.deploy.fakes import stack, tags
from tests.unit.deploy.stubs import ACCOUNT, STS, stubbed

if TYPE_CHECKING:
    from pathlib import Path


def environment(tmp_path: Path, **values: Any) -> Environment:
    return Environment(**{"name": "prod", "root": tmp_path, "region": "us-east-1", "protected": True, **values})


def test_the_right_account_passes(tmp_path: Path) -> None:
    with stubbed("sts") as (aws, stubs):
        stubs["sts"].add_response("get_caller_identity", STS)
        assert guard.account(aws, environment(tmp_path, account=ACCOUNT)) == ACCOUNT


def test_another_account_is_refused_with_both_named(tmp_path: Path) -> None:
    # Given credentials of another account than the environment's
    with stubbed("sts") as (aws, stubs):
        stubs["sts"].add_response("get_caller_identity", STS)
        # When something is about to be changed / Then it is refused
        with pytest.raises(RefusedError) as caught:
            guard.account(aws, environment(tmp_path, account="999988887777", profile="ops"))
    assert caught.value.code == "wrong-account"
    assert "999988887777" in caught.value.message and ACCOUNT in caught.value.message
    assert "profile ops" in caught.value.message


def test_the_name_of_another_stack_is_refused_though_nobody_asked_for_one(tmp_path: Path) -> None:
    env = environment(tmp_path, project="shop", name="local", protected=False)
    guard.named(env, None)
    guard.named(env, "shop-local")
    with pytest.raises(RefusedError, match="'shop-prod' is not 'shop-local'; nothing was changed") as caught:
        guard.named(env, "shop-prod")
    assert caught.value.exit_code == 5


def test_a_missing_configuration_is_a_warning(tmp_path: Path) -> None:
    found = doctor.config(environment(tmp_path))
    assert (found.verdict, found.fix) == ("warn", "rtp init")
    assert doctor.config(environment(tmp_path, file=tmp_path / "rtp.toml")).verdict == "ok"


def test_expired_credentials_are_an_error_with_the_way_to_sign_in(tmp_path: Path) -> None:
    with stubbed("sts") as (aws, stubs):
        stubs["sts"].add_client_error("get_caller_identity", "ExpiredToken", "expired", 403)
        with pytest.raises(CredentialsError, match="expired") as caught:
            guard.account(aws, environment(tmp_path))
    assert "aws sso login" in caught.value.hint


def test_a_missing_bootstrap_is_reported_before_anything_is_published() -> None:
    with stubbed("ssm", "sts") as (aws, stubs):
        stubs["ssm"].add_client_error("get_parameter", "ParameterNotFound")
        stubs["sts"].add_response("get_caller_identity", STS)
        with pytest.raises(ConfigError) as caught:
            bootstrap.check(aws)
    assert (caught.value.code, caught.value.hint) == ("no-bootstrap", "Run `rtp bootstrap`.")


@pytest.mark.parametrize(("found", "fine"), [("5", False), ("6", True), ("32", True)])
def test_an_old_bootstrap_is_refused(found: str, fine: bool) -> None:
    answer = {"Parameter": {"Name": bootstrap.PARAMETER, "Value": found}}
    with stubbed("ssm", "sts") as (aws, stubs):
        stubs["ssm"].add_response("get_parameter", answer, {"Name": bootstrap.PARAMETER})
        stubs["sts"].add_response("get_caller_identity", STS)
        if fine:
            bootstrap.check(aws)
            assert aws.account
        else:
            with pytest.raises(ConfigError, match="version 5"):
                bootstrap.check(aws)


def test_without_permission_to_read_the_bootstrap_the_cdk_checks_it() -> None:
    with stubbed("ssm") as (aws, stubs):
        stubs["ssm"].add_client_error("get_parameter", "AccessDeniedException", "no", 400)
        bootstrap.check(aws)


def limited(limit: int, unreserved: int, own: int | None) -> Any:
    with_own = {} if own is None else {"ReservedConcurrentExecutions": own}
    settings = {"AccountLimit": {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": unreserved}}
    return settings, with_own


@pytest.mark.parametrize(
    ("asked", "limit", "unreserved", "own", "expected"),
    [
        (None, 1000, 1000, None, 100),  # the default of a protected environment fits
        (None, 1000, 900, 100, 100),  # and still does once it is deployed
        (None, 10, 10, None, None),  # a new account has ten in all
        (None, 250, 150, None, None),  # others have reserved nearly all
        (50, 250, 150, None, 50),
        (0, 10, 10, None, 0),
    ],
)
def test_reserved_concurrency_leaves_enough_for_other_functions(
    tmp_path: Path, asked: int | None, limit: int, unreserved: int, own: int | None, expected: int | None
) -> None:
    # Given an account's limit / When asked what to reserve
    settings, with_own = limited(limit, unreserved, own)
    env = environment(tmp_path, settings=Settings(reserved_concurrency=asked))
    with stubbed("lambda") as (aws, stubs):
        stubs["lambda"].add_response("get_account_settings", settings)
        stubs["lambda"].add_response("get_function_concurrency", with_own)
        found = limits.reservation(aws, env)
    # Then it fits, and says when it is less than one would expect
    assert found.concurrency == expected
    assert bool(found.warning) == (expected is None)


def test_reserving_more_than_the_account_has_is_an_error_before_the_deploy(tmp_path: Path) -> None:
    settings, _ = limited(10, 10, None)
    env = environment(tmp_path, settings=Settings(reserved_concurrency=5))
    with stubbed("lambda") as (aws, stubs):
        stubs["lambda"].add_response("get_account_settings", settings)
        stubs["lambda"].add_client_error("get_function_concurrency", "ResourceNotFoundException")
        with pytest.raises(ConfigError, match="reserved_concurrency = 5 is too much") as caught:
            limits.reservation(aws, env)
    assert "[env.prod]" in caught.value.hint


def test_an_unprotected_environment_without_a_reservation_does_not_read_the_limit(tmp_path: Path) -> None:
    with stubbed() as (aws, _):
        assert limits.reservation(aws, environment(tmp_path, protected=False)).concurrency is None


def test_a_second_deploy_is_refused_with_the_holder_of_the_lock(tmp_path: Path) -> None:
    # Given a deploy under way
    with lock.held(tmp_path, "dev", "deploy"):
        # When another begins / Then it is told by whom, and since when
        with pytest.raises(RefusedError) as caught, lock.held(tmp_path, "dev", "destroy"):
            pass
        assert caught.value.code == "locked"
        assert "`rtp deploy` of " in caught.value.message and f"process {os.getpid()}" in caught.value.message
        # And another environment is free
        with lock.held(tmp_path, "prod", "deploy"):
            pass
    # When the first is done / Then the way is free
    with lock.held(tmp_path, "dev", "deploy"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from rtp.ops import lock\n"
        "with lock.held(pathlib.Path(sys.argv[1]), 'dev', 'deploy'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    with lock.held(tmp_path, "dev", "deploy"):
        pass


def test_a_folder_that_cannot_be_written_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / ".rtp").write_text("a file where a folder should be")
    with pytest.raises(ConfigError, match="cannot be written"), lock.held(tmp_path / ".rtp", "dev", "deploy"):
        pass


# doctor's checks of an account, each with its fix


def test_doctor_says_where_x_ray_stores_traces() -> None:
    with stubbed("xray") as (aws, stubs):
        stubs["xray"].add_response("get_trace_segment_destination", {"Destination": "XRay", "Status": "ACTIVE"})
        assert "in X-Ray" in doctor_account.tracing(aws).detail
    share = {"Name": "Default", "Rule": {"Probabilistic": {"DesiredSamplingPercentage": 1.0}}}
    with stubbed("xray") as (aws, stubs):
        stubs["xray"].add_response("get_trace_segment_destination", {"Destination": "CloudWatchLogs"})
        stubs["xray"].add_response("get_indexing_rules", {"IndexingRules": [share]})
        check = doctor_account.tracing(aws)
        assert check.verdict == "ok"
        assert "1 %" in check.detail and "aws/spans" in check.detail
    with stubbed("xray") as (aws, stubs):
        stubs["xray"].add_client_error("get_trace_segment_destination", "AccessDeniedException", "no")
        assert doctor_account.tracing(aws).verdict == "warn"


def test_the_logging_role_of_api_gateway(tmp_path: Path) -> None:
    with stubbed("apigateway") as (aws, stubs):
        stubs["apigateway"].add_response("get_account", {"cloudwatchRoleArn": "arn:aws:iam::1:role/logs"})
        assert doctor_account.logging_role(aws, environment(tmp_path)).verdict == "ok"
    with stubbed("apigateway") as (aws, stubs):
        stubs["apigateway"].add_response("get_account", {})
        check = doctor_account.logging_role(aws, environment(tmp_path))
    assert check.verdict == "fail" and "--make-logging-role" in check.fix and "api_logs = false" in check.fix
    with stubbed("apigateway") as (aws, _):  # which is not asked
        without = environment(tmp_path, settings=Settings(api_logs=False))
        assert doctor_account.logging_role(aws, without).verdict == "ok"


@pytest.mark.parametrize(("skew", "verdict"), [(0, "ok"), (60, "warn"), (-60, "warn"), (600, "fail")])
def test_the_clock_is_compared_with_the_date_of_aws(skew: int, verdict: str) -> None:
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    answer = {**STS, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    with stubbed("sts") as (aws, stubs):
        stubs["sts"].add_response("get_caller_identity", answer)
        check = doctor_account.clock(aws, now=lambda: 1767225600.0 + skew)
    assert check.verdict == verdict


def test_a_protected_environment_without_an_account_is_a_warning(tmp_path: Path) -> None:
    with stubbed("sts") as (aws, stubs):
        stubs["sts"].add_response("get_caller_identity", STS)
        check = doctor_account.credentials(aws, environment(tmp_path))
    assert check.verdict == "warn" and f'account = "{ACCOUNT}"' in check.fix


def test_a_denied_look_up_is_not_a_failure() -> None:
    with stubbed("ssm") as (aws, stubs):
        stubs["ssm"].add_client_error("get_parameter", "AccessDeniedException", "no", 400)
        stubs["ssm"].add_client_error("get_parameter", "AccessDeniedException", "no", 400)
        assert doctor_account.prepared(aws).verdict == "warn"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("UPDATE_COMPLETE", "ok"),
        ("UPDATE_ROLLBACK_FAILED", "warn"),
        ("ROLLBACK_COMPLETE", "warn"),
        ("UPDATE_IN_PROGRESS", "warn"),
    ],
)
def test_doctor_reports_a_stuck_stack(tmp_path: Path, status: str, verdict: str) -> None:
    from datetime import UTC, datetime

    stack = {"StackName": "s", "StackStatus": status, "CreationTime": datetime.now(UTC)}
    stack["Tags"] = tags("realtime-processor", "prod")
    with stubbed("cloudformation") as (aws, stubs):
        stubs["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]})
        assert doctor_account.stack(aws, environment(tmp_path)).verdict == verdict


@pytest.mark.parametrize(("said", "verdict"), [("3.0.0", "warn"), ("2.1200.0 (build abc)", "ok"), (None, "ok")])
def test_a_foreign_cdk_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, verdict: str
) -> None:
    # Given a cdk on PATH, or none
    if said is not None:
        script = tmp_path / "cdk"
        script.write_text(f"#!/bin/sh\necho '{said}'\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=None)
    # When looked at / Then only the accidental release is worth a word
    assert doctor.foreign_cdk().verdict == verdict


@pytest.mark.parametrize(
    ("written", "deployed", "is_protected"),
    [(True, None, True), (True, False, True), (False, True, True), (False, False, False), (False, None, False)],
)
def test_what_was_deployed_as_protected_stays_so(
    tmp_path: Path, written: bool, deployed: bool | None, is_protected: bool
) -> None:
    at = Environment(name="dev", project="shop", root=tmp_path, protected=written)
    found = None if deployed is None else stack(protected=deployed)
    assert guard.as_deployed(at, found) == Environment(
        name="dev", project="shop", root=tmp_path, protected=is_protected
    )


def test_no_program_of_the_folder_runs_for_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody asks rtp doctor about a repository that was just cloned, with an empty entry in PATH."""
    ran, installed = tmp_path / "ran", tmp_path / "bin"
    (tmp_path / "cdk").write_text(f"#!/bin/sh\ntouch {ran}\n")
    installed.mkdir()
    (installed / "cdk").write_text(f'#!/bin/sh\necho "2.1.0 $(pwd) $TOKEN" | tee {installed}/said\n')
    for script in (tmp_path / "cdk", installed / "cdk"):
        script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f":.:{os.environ['PATH']}")
    monkeypatch.setenv("TOKEN", "canary")
    doctor.foreign_cdk()
    assert not ran.exists()
    # And the one that is installed sees no token, and works in no project, whose own version a manager would run
    monkeypatch.setenv("PATH", f"{installed}:{os.environ['PATH']}")
    assert "2.1.0" in doctor.foreign_cdk().detail
    assert (installed / "said").read_text().split() == ["2.1.0", "/"]


def test_a_denied_limit_is_a_warning(tmp_path: Path) -> None:
    with stubbed("lambda") as (aws, stubs):
        stubs["lambda"].add_client_error("get_account_settings", "AccessDeniedException", "no", 403)
        found = limits.reservation(aws, environment(tmp_path))
    assert found.concurrency is None and "cannot be read" in found.warning
    assert issubclass(CredentialsError, AwsError)
