"""Works through docs/verified.md on an AWS account: `make aws-check PROFILE=… REGION=…`."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import rtp
from checks.aws.results import FILE, Report, Result
from checks.aws.steps import STEPS
from checks.aws.throwaway import CheckError, Throwaway, uninterrupted
from rtp.aws import Aws
from rtp.errors import RtpError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESTROYS = 4
# Upper bounds in US dollars: an event by the dearest entry, with its retries; and what exists for an hour (a key, a
# dozen alarms, a dashboard, custom metrics).
_EVENT_USD, _HOUR_USD = 0.0001, 0.02
_QUICK = ("secrets", "deploy", "model")
PLAN = """\
This check deploys the throw-away pipeline {stack} in account {account}, region {region}: about 70 resources, among
them an API, two functions, a table, a bucket, two queues, a KMS key, alarms and a dashboard.
It sends about 300 events, changes, rolls back and deletes the pipeline, and verifies that it is gone.
It takes about 40 minutes and costs less than one US dollar. Afterwards there remain: the key until the end of its
waiting period (free of charge), and the stack CDKToolkit if the region was not bootstrapped before.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check: 0 if every step passed, 1 if one failed or something was left, 130 after an interrupt."""
    parser = argparse.ArgumentParser(prog="python -m checks.aws", description=__doc__)
    parser.add_argument("--profile", help="profile of the AWS configuration")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--engine", action="store_true", help="run against the local engine; turns no row to yes")
    parser.add_argument("--weather", help="with --engine: the seed of the engine's weather")
    parser.add_argument("--quick", action="store_true", help="only the steps that a change of the check breaks first")
    parser.add_argument("--out", type=Path, help="file for the results; default: docs/aws-check.json")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(argv)
    if options.engine and options.out is None:
        parser.error("--engine needs --out: docs/aws-check.json has results of accounts alone")
    try:
        account = None if options.engine else Aws(region=options.region, profile=options.profile).account
    except RtpError as error:
        sys.stderr.write(f"error: {error.message}\n  fix: {error.hint}\n")
        return int(error.exit_code)
    folder = Path(tempfile.mkdtemp(prefix="rtp-aws-check-"))
    target = Throwaway(folder, f"rtpcheck-{secrets.token_hex(3)}", options.region, options.profile, account)
    target.progress = _say
    if account is not None and not (options.yes or _agreed(target)):
        shutil.rmtree(folder)
        _say("nothing was created")
        return 5
    return _run(target, options)


def _run(target: Throwaway, options: argparse.Namespace) -> int:
    began, results, is_interrupted = time.monotonic(), list[Result](), False
    target.write()
    try:
        if options.engine:
            target.rtp("local", "start", *(["--weather", options.weather] if options.weather else []))
        for name in _QUICK if options.quick else STEPS:
            results.append(_result(target, name))
            _say(f"{results[-1].outcome:8} {name:12} {results[-1].seconds:6.1f} s  {results[-1].detail}")
            if name == "deploy" and results[-1].outcome == "failed":
                break  # nothing else can be shown
    except KeyboardInterrupt:
        is_interrupted = True
        _say("interrupted: deleting what was created")
    except CheckError as error:
        results.append(Result("start", "failed", 0, str(error)))
        _say(f"failed   start: {error}")
    with uninterrupted(_say, "deleting what was created"):
        gone = _cleaned_up(target)
        done = {result.step for result in results}
        results += [Result(name, "not run", 0, "") for name in STEPS if name not in done]
        seconds = time.monotonic() - began
        cost = 0.0 if target.account is None else target.sent * _EVENT_USD + seconds / 3600 * _HOUR_USD
        Report(
            place="engine" if target.account is None else "account",
            date=datetime.now(UTC).date().isoformat(),
            region=target.region,
            rtp=rtp.__version__,
            seconds=round(seconds, 1),
            cost_usd=round(cost, 4),
            gone=gone,
            results=tuple(results),
        ).write(options.out or FILE)
    failed = [result.step for result in results if result.outcome == "failed"]
    _say(f"{len(failed)} of {len(results)} steps failed; {seconds:.0f} s; at most {cost:.2f} USD; gone: {gone}")
    if is_interrupted:
        return 130
    return 1 if failed or not gone else 0


def _result(target: Throwaway, name: str) -> Result:
    step = STEPS[name]
    if target.account is None and step.needs_account:
        return Result(name, "skipped", 0, f"on an account only: {step.needs_account}")
    _say(f"         {name}: {step.summary}")
    began = time.monotonic()
    try:
        outcome, detail = "passed", step.run(target)
    except (CheckError, RtpError, LookupError, ValueError, OSError) as error:
        outcome, detail = "failed", f"{type(error).__name__}: {error}"
    return Result(name, outcome, round(time.monotonic() - began, 1), detail)  # type: ignore[arg-type]


def _cleaned_up(target: Throwaway) -> bool:
    """Delete what is left of the pipeline, and return whether nothing is."""
    is_gone, reason = False, ""
    for _ in range(_DESTROYS):
        try:
            target.rtp("destroy", "--yes", codes=(0, 4))
            target.rtp("secrets", "delete", "CHECK_TOKEN", "--yes", codes=(0, 4))
            is_gone = target.rtp("status", codes=(4,)).code == 4
            break
        except CheckError as error:
            reason = str(error)
            time.sleep(5)
    if target.account is None:
        target.rtp("local", "stop", codes=(0, 1, 4))
    if is_gone:
        shutil.rmtree(target.folder, ignore_errors=True)
    else:
        _say(f"{target.stack} is left: run `rtp destroy` in {target.folder}. {reason}")
    return is_gone


def _agreed(target: Throwaway) -> bool:
    sys.stdout.write(PLAN.format(stack=target.stack, account=target.account, region=target.region))
    if not sys.stdin.isatty():
        sys.stderr.write("error: there is no terminal to ask on\n  fix: Give --yes.\n")
        return False
    try:
        return input("Type the account id to go on: ").strip() == target.account
    except (EOFError, KeyboardInterrupt):
        sys.stdout.write("\n")
        return False


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
