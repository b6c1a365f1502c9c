"""Functions sign with the key of the engine's run; where policies are enforced, with one of their role's own."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_ACCOUNT = "000000000000"  # of the run's key; a role of another account may have been assumed to make a function there
_secret = secrets.token_bytes(32)


def install(_: Telemetry) -> None:
    """Install the patch."""
    import ministack.app
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sts

    require(lambda_runtime, "_account_region_from_function_config")
    require(ministack.app, "AUTH")
    require(sts, "register_session")

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        account, _ = lambda_runtime._account_region_from_function_config(config)
        if not ministack.app.AUTH and account == os.environ.get("MINISTACK_ACCOUNT_ID", _ACCOUNT):
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            return {**{name: os.environ[name] for name in names}, "AWS_SESSION_TOKEN": ""}
        return _session(sts, account, config)

    replace(lambda_runtime, "execution_credentials", execution_credentials, "config")
    replace(lambda_svc, "execution_credentials", execution_credentials, "config")


PATCH = Patch(
    name="credentials",
    aws="A function signs with credentials of its role.",
    engine=(
        "A function signs with the number of its account, which the engine refuses; under AUTH=true with a key "
        "that anybody can derive from the names of the function and its role."
    ),
    test="tests/local/engine/test_patches.py::a_function_signs_with_the_account_s_number",
    install=install,
)


def _session(sts: Any, account: str, config: dict[str, Any]) -> dict[str, str]:
    """A session of the function's role, the same one for all its workers."""
    role, name = str(config.get("Role", "")), str(config.get("FunctionName", "function"))[:64]
    role_name = role.rpartition("/")[2]
    key, secret, token = (
        hmac.new(_secret, f"{part}\n{config.get('FunctionArn')}\n{role}".encode(), hashlib.sha256).hexdigest()
        for part in ("key", "secret", "token")
    )
    access_key_id = f"ASIA{key[:16].upper()}"
    session = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{name}",
        "UserId": f"{role_name}:{name}",
        "SecretAccessKey": secret,
        "SessionToken": token,
    }
    sts.register_session(access_key_id, session)
    return {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
