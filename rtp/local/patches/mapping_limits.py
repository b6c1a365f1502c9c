"""Event source mappings of SQS: what AWS refuses, and the states that it answers with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

MAX_BATCH_WITHOUT_WINDOW = 10
_NO_MAPPING = "The resource you requested does not exist."
_OPERATORS = {
    "anything-but",
    "anything-but-ignore-case",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
}
Answer = tuple[int, dict[str, str], bytes]


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import lambda_svc, sqs

    require(lambda_svc, "_esms", "_functions", "error_response_json", "_resolve_request_scoped_name_and_qualifier")
    require(lambda_svc, "_func_arn")
    require(sqs, "_queue_by_arn")
    limits = MappingLimits(lambda_svc, sqs)
    limits.create_one = replace(lambda_svc, "_create_esm", limits.create, "data")
    limits.update_one = replace(lambda_svc, "_update_esm", limits.update, "esm_id data")
    limits.get_one = replace(lambda_svc, "_get_esm", limits.get, "esm_id")
    limits.delete_one = replace(lambda_svc, "_delete_esm", limits.delete, "esm_id")


PATCH = Patch(
    name="mapping_limits",
    aws=(
        "A mapping is refused whose queue is missing, whose batch of more than 10 has no window, whose filter is none, "
        "whose function may run longer than the queue hides a message, that has a starting position, or that exists. "
        "It is answered as Creating, "
        "Updating, Enabling, Disabling or Deleting."
    ),
    engine="All of these are accepted, and each change is answered as if it were complete.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


class MappingLimits:
    """Checks before the engine's own operations, and AWS's states after them."""

    create_one: Any
    update_one: Any
    get_one: Any
    delete_one: Any

    def __init__(self, lambda_svc: Any, sqs: Any) -> None:
        self._lambda = lambda_svc
        self._sqs = sqs

    def create(self, data: dict[str, Any]) -> Answer:
        """CreateEventSourceMapping."""
        name, _ = self._lambda._resolve_request_scoped_name_and_qualifier(data.get("FunctionName", ""))
        function, source = self._lambda._functions.get(name), str(data.get("EventSourceArn") or "")
        if function is None:
            missing = f"Function not found: {self._lambda._func_arn(name)}"
            answer: Answer = self._lambda.error_response_json("ResourceNotFoundException", missing, 404)
            return answer
        if ":sqs:" in source:
            if data.get("StartingPosition"):
                return self._invalid("StartingPosition is not valid for SQS event sources.")
            refused = self._refusal(function, source, data, data) or self._conflict(name, function, source)
            if refused is not None:
                return refused
        return self._answer(self.create_one(data), "Creating")

    def update(self, esm_id: str, data: dict[str, Any]) -> Answer:
        """UpdateEventSourceMapping."""
        mapping = self._lambda._esms.get(esm_id)
        if mapping is None:
            return self._missing()
        function, source = self._lambda._functions.get(mapping["FunctionName"]), str(mapping["EventSourceArn"])
        if function is not None and ":sqs:" in source:
            refused = self._refusal(function, source, {**mapping, **data}, data)
            if refused is not None:
                return refused
        state, was_enabled = "Updating", bool(mapping.get("Enabled", True))
        if "Enabled" in data and bool(data["Enabled"]) != was_enabled:
            state = "Disabling" if was_enabled else "Enabling"
        return self._answer(self.update_one(esm_id, data), state)

    def get(self, esm_id: str) -> Answer:
        """GetEventSourceMapping."""
        return self._answer(self.get_one(esm_id)) if esm_id in self._lambda._esms else self._missing()

    def delete(self, esm_id: str) -> Answer:
        """DeleteEventSourceMapping."""
        return self._answer(self.delete_one(esm_id)) if esm_id in self._lambda._esms else self._missing()

    def _refusal(
        self, function: dict[str, Any], source: str, mapping: dict[str, Any], given: dict[str, Any]
    ) -> Answer | None:
        """Why AWS refuses a mapping. given: the parameters of the request, of all those that the mapping has."""
        queue = self._sqs._queue_by_arn(source)
        if queue is None:
            return self._invalid(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS "
                "Error Message: The specified queue does not exist."
            )
        size, window = mapping.get("BatchSize"), mapping.get("MaximumBatchingWindowInSeconds")
        if int(size or 0) > MAX_BATCH_WITHOUT_WINDOW and not window:
            return self._invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
                f"{MAX_BATCH_WITHOUT_WINDOW}"
            )
        filters = (given.get("FilterCriteria") or {}).get("Filters") or []
        if not all(is_filter(each.get("Pattern")) for each in filters):
            return self._invalid("Invalid filter pattern definition.")
        timeout = int((function.get("config") or function).get("Timeout", 3))
        hidden = int(queue["attributes"]["VisibilityTimeout"])
        if hidden < timeout:
            return self._invalid(
                f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {timeout} seconds"
            )
        return None

    def _conflict(self, name: str, function: dict[str, Any], source: str) -> Answer | None:
        for mapping in self._lambda._esms.values():
            if mapping["EventSourceArn"] == source and mapping["FunctionName"] == name:
                shown = (function.get("config") or function).get("FunctionName", name)
                answer: Answer = self._lambda.error_response_json(
                    "ResourceConflictException",
                    f'An event source mapping with SQS arn (" {source} ") and function (" {shown} ") already exists. '
                    f"Please update or delete the existing mapping with UUID {mapping['UUID']}",
                    409,
                )
                return answer
        return None

    def _answer(self, answer: Answer, state: str = "") -> Answer:
        """The engine's answer with a state, and without what AWS does not say of a queue."""
        status, headers, body = answer
        if status >= 300:
            return answer
        mapping = json.loads(body)
        if ":sqs:" in str(mapping.get("EventSourceArn")):
            mapping.pop("LastProcessingResult", None)
            mapping["State"] = state or mapping["State"]
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        return status, headers, json.dumps(mapping).encode()

    def _invalid(self, message: str) -> Answer:
        answer: Answer = self._lambda.error_response_json("InvalidParameterValueException", message, 400)
        return answer

    def _missing(self) -> Answer:
        answer: Answer = self._lambda.error_response_json("ResourceNotFoundException", _NO_MAPPING, 404)
        return answer


def is_filter(pattern: Any) -> bool:
    """Whether this text is a filter pattern: an object whose leaves are lists of values or of operators."""
    try:
        parsed = json.loads(pattern)
    except (ValueError, TypeError):
        return False
    return isinstance(parsed, dict) and _is_rule(parsed)


def _is_rule(rule: Any) -> bool:
    if isinstance(rule, dict):
        return all(_is_choice(inner) if name == "$or" else _is_rule(inner) for name, inner in rule.items())
    return isinstance(rule, list) and bool(rule) and all(_is_test(each) for each in rule)


def _is_choice(rules: Any) -> bool:
    return isinstance(rules, list) and bool(rules) and all(isinstance(each, dict) and _is_rule(each) for each in rules)


def _is_test(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) == 1 and next(iter(value)) in _OPERATORS
    return not isinstance(value, list)
