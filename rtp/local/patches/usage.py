"""GetUsage of a usage plan: the engine enforces the quota, but neither reports nor saves the usage."""

from __future__ import annotations

import re
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_PATH = re.compile(r"/usageplans/([^/]+)/usage")


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import apigateway_v1 as apigw

    require(apigw, "_usage_plans", "_usage_plan_keys", "_quota_state", "_QUOTA_PERIOD_SECONDS", "_v1_response")

    async def handle(method: str, path: str, headers: Any, body: bytes, query_params: dict[str, list[str]]) -> Any:
        match = _PATH.fullmatch(path)
        plan = apigw._usage_plans.get(match[1]) if match and method == "GET" else None
        if match is None or plan is None:
            return await handle_one(method, path, headers, body, query_params)
        return apigw._v1_response(_usage(apigw, match[1], plan, {k: v[0] for k, v in query_params.items()}))

    def save() -> dict[str, Any]:
        used = [[*slot, *state] for slot, state in list(apigw._quota_state.items())]
        return {**save_one(), "rtp_quota_used": used}

    def load(data: dict[str, Any]) -> None:
        for plan, key, used, since in data.get("rtp_quota_used") or ():
            apigw._quota_state[(plan, key)] = (used, since)
        load_one(data)

    handle_one = replace(apigw, "handle_request", handle, "method path headers body query_params")
    save_one = replace(apigw, "get_state", save, "")
    load_one = replace(apigw, "load_persisted_state", load, "data")


PATCH = Patch(
    name="usage",
    aws="GetUsage returns what each key of a usage plan has used.",
    engine="GetUsage returns the plan, and the usage is lost at a stop.",
    test="tests/local/engine/test_patches.py::the_usage_of_a_plan_is_not_reported",
    install=install,
)


def _usage(apigw: Any, plan_id: str, plan: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """What each key used and has left, day by day; the engine remembers the current period alone."""
    first, last = query.get("startDate", ""), query.get("endDate", "")
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    quota = plan.get("quota") or {}
    limit = int(quota.get("limit") or 0)
    key_id = query.get("keyId")
    keys = [key for key in apigw._usage_plan_keys.get(plan_id) or {} if key_id in (None, key)]
    today = date.fromisoformat(last) >= date.today() - timedelta(days=1)
    values = {}
    for key in keys:
        used, since = apigw._quota_state.get((plan_id, key), (0, 0.0))
        if not today or time.time() - since >= apigw._QUOTA_PERIOD_SECONDS.get(quota.get("period", "DAY"), 86_400):
            used = 0
        values[key] = [[0, limit]] * (days - 1) + [[used, max(limit - used, 0)]]
    return {"usagePlanId": plan_id, "startDate": first, "endDate": last, "values": values}
