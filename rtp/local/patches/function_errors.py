"""The payload of a failed invocation is the one that Lambda's Python runtime sends, and its log says what ended it."""

from __future__ import annotations

import json
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import MismatchError, Patch, replace

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_INIT_FAILED = "Worker init failed: "
_DIED = ("Worker process died", "Worker returned no response", "Worker process exited immediately")
_TIMED_OUT = "Task timed out after "
_reported: ContextVar[dict[str, Any] | None] = ContextVar("rtp_function_error", default=None)

# Runs in the function's process: Lambda's own client of the Runtime API words these errors.
_HELPERS = """
class _RtpMarshalError(Exception):
    pass

class _RtpTooLarge(Exception):
    pass

def _rtp_encoded(document):
    try:
        text = json.dumps(document)
    except Exception as e:
        raise _RtpMarshalError("Unable to marshal response: %s" % e) from None
    if len(text) > 6291556 + 30:  # with the keys around the result
        raise _RtpTooLarge("Response payload size exceeded maximum allowed payload size (6291556 bytes).")
    return text

def _rtp_failure(error, code_dir):
    layers = [p for p in os.environ.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep) if p]
    def place(name):
        places = [(code_dir, "/var/task"), (sys.base_prefix, "/var/lang")] + [(layer, "/opt") for layer in layers]
        for folder, shown in places:
            if name.startswith(folder + os.sep):
                return shown + name[len(folder):]
        return name
    if isinstance(error, _RtpMarshalError):
        return {"errorMessage": str(error), "errorType": "Runtime.MarshalError", "stackTrace": []}
    if isinstance(error, _RtpTooLarge):
        return {"errorMessage": str(error), "errorType": "Function.ResponseSizeTooLarge"}
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        reason = "with error: exit status %d" % code if code else "without providing a reason"
        reason = "Runtime exited " + reason
        return {"errorMessage": reason, "errorType": "Runtime.ExitError"}
    frames = traceback.extract_tb(error.__traceback__)[1:]
    trace = traceback.format_list([(place(f.filename), f.lineno, f.name, f.line) for f in frames])
    return {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": trace}

def _rtp_init_failure(error, module_name, handler_name, code_dir):
    failure = _rtp_failure(error, code_dir)
    if isinstance(error, SyntaxError):
        kind, text = "Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error)
    elif isinstance(error, ImportError):
        kind, text = "Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error)
    elif isinstance(error, AttributeError) and module_name in sys.modules and not hasattr(
        sys.modules[module_name], handler_name
    ):
        kind = "Runtime.HandlerNotFound"
        text = "Handler '%s' missing on module '%s'" % (handler_name, module_name)
    else:
        return failure
    return {"errorMessage": text, "errorType": kind, "stackTrace": []}

def run():
"""
_STEPS = (  # a text of the script, its replacement, and how often the script has it
    ("\ndef run():\n", f"\n{_HELPERS}", 1),
    (
        '        _real_stdout.write(json.dumps({"status": "error", "error": str(e)}) + "\\n")\n',
        "        _rtp_report = _rtp_init_failure(e, module_name, handler_name, code_dir)\n"
        '        _real_stdout.write(json.dumps({"status": "error", "error": json.dumps(_rtp_report)}) + "\\n")\n',
        1,
    ),
    (
        '_real_stdout.write(json.dumps({"status": "ok", "result": result}) + "\\n")',
        '_real_stdout.write(_rtp_encoded({"status": "ok", "result": result}) + "\\n")',
        1,
    ),
    (
        "        except Exception as e:\n            _real_stdout.write(json.dumps({"
        '"status": "error", "error": str(e), "trace": traceback.format_exc()}) + "\\n")',
        "        except (Exception, SystemExit) as e:\n            _real_stdout.write(json.dumps({"
        '"status": "error", "error": str(e), "trace": traceback.format_exc(), '
        '"payload": _rtp_failure(e, code_dir)}) + "\\n")',
        1,
    ),
)


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    for before, after, times in _STEPS:
        if script.count(before) != times:
            raise MismatchError(f"the script of the Python worker has no {before.strip().splitlines()[-1]!r}")
        script = script.replace(before, after)
    lambda_runtime._PYTHON_WORKER_SCRIPT = script

    def invoke(self: Any, event: Any, request_id: str, **options: Any) -> Any:
        answer = invoke_one(self, event, request_id, **options)
        _reported.set(answer.get("payload"))
        return answer

    def execute(func: Any, event: Any, request_id: str) -> Any:
        result = execute_one(func, event, request_id)
        body = result.get("body")
        if not result.get("error") or not isinstance(body, dict):
            return result
        return {**result, "log": _logged(str(result.get("log") or ""), body, request_id)}

    execute_one = replace(lambda_svc, "_execute_function_warm", execute, "func event request_id")
    invoke_one = replace(
        lambda_runtime.Worker, "invoke", invoke, "self event request_id trace_id depth durable invoked_function_arn"
    )


PATCH = Patch(
    name="function_errors",
    aws=(
        "The payload of a failed invocation has the exception's class, the requestId and the stackTrace. A module that "
        "cannot be imported, a result that is not JSON, an exit and a timeout have errors of their own. The log has "
        "a line about a start that failed, an exit and a timeout."
    ),
    engine=(
        "The payload has the message alone, and every error of a handler is a Runtime.HandlerError. A start that "
        "fails is not logged, an exit and a timeout in the engine's own words."
    ),
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


def forget() -> None:
    """Forget the error of the last invocation in this thread."""
    _reported.set(None)


def payload(body: dict[str, Any], request_id: str) -> dict[str, Any]:
    """The payload of a failed invocation. body: what the engine makes of the failure."""
    reported = _reported.get()
    text, kind = str(body.get("errorMessage") or ""), str(body.get("errorType") or "")
    if text.startswith(_INIT_FAILED):
        reported = _initial(text.removeprefix(_INIT_FAILED))
    if reported is None and text.startswith(_DIED):
        reported = {"errorMessage": "Runtime exited without providing a reason", "errorType": "Runtime.ExitError"}
    if reported is None and text.startswith(_TIMED_OUT):
        reported = {"errorMessage": text, "errorType": "Sandbox.Timedout"}
    if reported is None:
        return body
    kind = reported["errorType"]
    if kind == "Function.ResponseSizeTooLarge":
        return reported
    if kind in ("Runtime.ExitError", "Sandbox.Timedout"):  # the runtime is gone: Lambda itself answers
        return {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {reported['errorMessage']}"}
    return {
        "errorMessage": reported["errorMessage"],
        "errorType": kind,
        "requestId": request_id,
        "stackTrace": reported.get("stackTrace", []),
    }


def _logged(text: str, body: dict[str, Any], request_id: str) -> str:
    """The log of a failed invocation, with Lambda's line about what ended it. body: as the engine has it."""
    own, known = str(body.get("errorMessage") or ""), payload(body, request_id)
    kind, message = str(known.get("errorType") or ""), str(known.get("errorMessage") or "")
    if own.startswith(_INIT_FAILED):
        last = f"[ERROR] {kind}: {message}"
    elif kind == "Sandbox.Timedout":
        last = f"{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime())} {request_id} {own}"
    elif kind == "Runtime.ExitError":
        last = f"{message}\r{kind}"
    else:
        return text
    return "\n".join(filter(None, [text.removesuffix(own).rstrip("\n"), last]))


def _initial(text: str) -> dict[str, Any] | None:
    """What the function's process has said of its failed start; None if it is another text."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and "errorType" in parsed else None
