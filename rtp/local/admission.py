"""What the engine knows about a request: the keys that it has issued, its callbacks, and the APIs that it serves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtp.local.asgi import Scope

_PATHS = (
    re.compile(r"/_aws/execute-api/(?P<api>[^/]+)/(?P<stage>[^/]*)(?P<rest>/.*)?", re.DOTALL),
    re.compile(r"/restapis/(?P<api>[^/]+)/(?P<stage>[^/]*)/_user_request_(?P<rest>/.*)?", re.DOTALL),
)
_URL_PATH = re.compile(r"/_aws/lambda-url/(?P<url>[a-z0-9-]+)/.*", re.DOTALL)
_HOSTS = {  # and the path that stands for each
    re.compile(r"([a-z0-9]+)\.execute-api\.localhost"): "/_aws/execute-api/{}",
    re.compile(r"([a-z0-9-]{32,36})\.lambda-url\.[a-z0-9-]+\.localhost"): "/_aws/lambda-url/{}",
}
# What a URL without authentication needs from the function's policy: one statement for each, for everybody.
_PUBLIC = {
    "lambda:InvokeFunctionUrl": ("StringEquals", "lambda:FunctionUrlAuthType", "NONE"),
    "lambda:InvokeFunction": ("Bool", "lambda:InvokedViaFunctionUrl", "true"),
}
_ENGINE_HOSTS = ("127.0.0.1", "localhost")


class Admission:
    """Asks MiniStack, in this process."""

    def __init__(self) -> None:
        import ministack.app

        self._app = ministack.app

    def refusal_of(self, access_key_id: str) -> str | None:
        """The error code for the key of an IAM user or an STS session; None if the engine issued it and it is valid."""
        from ministack.core import iam_evaluator
        from ministack.core.responses import _account_from_sts_session

        # MiniStack takes an empty key, `test` and an account's number for the root user of the account.
        if iam_evaluator.is_root_access_key(access_key_id):
            return "InvalidClientTokenId"
        account = iam_evaluator.find_iam_access_key_account(access_key_id) or _account_from_sts_session(access_key_id)
        credential = iam_evaluator.resolve_credential(access_key_id, account)
        if not isinstance(credential, iam_evaluator.CredentialResolutionError):
            return None
        return "ExpiredToken" if credential.code.startswith("ExpiredToken") else "InvalidClientTokenId"

    def is_signal_handle(self, handle: str) -> bool:
        """Whether a wait condition uses this handle."""
        self._app._get_module("cloudformation")  # with its saved state
        from ministack.services.cloudformation import wait_conditions

        return bool(wait_conditions.has_handle(handle))

    def as_api_call(self, scope: Scope) -> Scope | None:
        """The request, rewritten so that it reaches only what AWS serves unsigned; None if it is no such call.

        That is an API, or a function URL without authentication. The Host becomes the engine's, and the host name of an
        API or a function URL becomes a path: other routes of the engine match the path alone, or another host name, and
        would handle the request first.
        """
        scope = _by_path(scope)
        if url := _URL_PATH.fullmatch(scope["path"]):
            return scope if scope["type"] == "http" and self._is_public(url["url"]) else None
        call = next((match for pattern in _PATHS if (match := pattern.fullmatch(scope["path"]))), None)
        if call is None or self._wants_signature(scope, call["api"], call["stage"] or "$default", call["rest"] or "/"):
            return None
        return scope

    def _is_public(self, url_id: str) -> bool:
        """Whether a function URL has AuthType NONE, and the function's policy lets everybody call it by the URL."""
        from ministack.core.responses import request_scope

        functions: Any = self._app._get_module("lambda_svc")
        found = functions.resolve_function_url(url_id)
        if found is None or found[4].get("AuthType") != "NONE":
            return False
        account, region, name, qualifier, _ = found
        arn = f"arn:aws:lambda:{region}:{account}:function:{name}{f':{qualifier}' if qualifier else ''}"
        with request_scope(account, region):
            policy: Any = functions.function_policy_for_arn(arn)
        given = [each for each in policy[0].get("Statement", ()) if each.get("Resource") == arn] if policy else []
        return all(any(_allows_all(each, action) for each in given) for action in _PUBLIC)

    def _wants_signature(self, scope: Scope, api: str, stage: str, path: str) -> bool:
        """Whether the method has AWS_IAM authorization, or posts to a WebSocket's clients."""
        from ministack.core.responses import request_scope

        if path.startswith("/@connections/"):
            return True
        if scope["type"] == "websocket":
            apis: Any = self._app._get_module("apigateway")
            place = apis.find_api_scope(api)
            if place is None:
                return False
            with request_scope(*place):
                route = apis._match_ws_route(api, "$connect")
            return bool(route) and str(route.get("authorizationType")).upper() == "AWS_IAM"
        stage, path = self._app._resolve_stage_and_path(api, stage, path)
        return bool(self._app._execute_api_authorization_type(api, stage, scope["method"], path) == "AWS_IAM")


def _allows_all(statement: dict[str, Any], action: str) -> bool:
    """Whether a statement allows an action to everybody, with no other condition than that of function URLs."""
    operator, key, value = _PUBLIC[action]
    return (
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") == action
        and statement.get("Condition", {}) in ({}, {operator: {key: value}})
    )


def _by_path(scope: Scope) -> Scope:
    host = next(value.decode("latin-1").lower() for name, value in scope["headers"] if name.lower() == b"host")
    name, colon, port = host.partition(":")
    if name in _ENGINE_HOSTS:
        return scope
    prefix = next((path.format(found[1]) for form, path in _HOSTS.items() if (found := form.fullmatch(name))), "")
    host = f"{_ENGINE_HOSTS[0]}{colon}{port}"
    headers = [(key, host.encode() if key.lower() == b"host" else value) for key, value in scope["headers"]]
    raw_path = scope.get("raw_path")
    raw = {"raw_path": prefix.encode() + raw_path} if raw_path else {}
    return {**scope, **raw, "path": prefix + scope["path"], "headers": headers}
