"""The REST API: POST /process to the processor, POST /events straight to the queue, behind a key and a usage plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from rtp.contract import API_STAGE
from rtp.infra.event_schema import EVENT
from rtp.infra.logs import log_group

if TYPE_CHECKING:
    from rtp.infra.plan import Plan
    from rtp.infra.storage import Storage

_JSON = "application/json"
_FORM = "'application/x-www-form-urlencoded'"


class Ingest(Construct):
    """Regional API with one stage, whose answers are JSON whatever goes wrong."""

    def __init__(
        self, scope: Construct, id: str, *, plan: Plan, storage: Storage, processor: lambda_.IFunction
    ) -> None:
        super().__init__(scope, id)
        self._plan = plan
        self._storage = storage
        self.api = self._api()
        self._model = self._event_model()
        self._validator = self.api.add_request_validator(
            "Validator", validate_request_body=True, validate_request_parameters=True
        )
        self._method("process", apigateway.LambdaIntegration(processor, proxy=True, allow_test_invoke=False))
        self._method("events", self._to_queue(), responses=_RESPONSES)
        self.key, self.usage_plan = self._key()

    def _api(self) -> apigateway.RestApi:
        plan = self._plan
        names = plan.names
        access_log = log_group(self, "AccessLog", plan=plan, key=self._storage.key, name=names.access_log_group)
        return apigateway.RestApi(
            self,
            "Api",
            rest_api_name=names.api,
            description=f"Events of {names.stack}",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,  # the account's, never a stack's: see `rtp doctor`
            api_key_source_type=apigateway.ApiKeySourceType.HEADER,
            deploy_options=apigateway.StageOptions(
                stage_name=API_STAGE,
                throttling_rate_limit=plan.settings.throttle_rate,
                throttling_burst_limit=plan.settings.throttle_burst,
                tracing_enabled=True,
                metrics_enabled=True,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,  # bodies are the users' data
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG)),
            ),
        )

    def _event_model(self) -> apigateway.Model:
        model = self.api.add_model(
            "Event", content_type=_JSON, model_name="Event", schema=apigateway.JsonSchema(title="Event")
        )
        cast("apigateway.CfnModel", model.node.default_child).schema = EVENT
        self.api.latest_deployment.add_to_logical_id({"event": EVENT})
        return model

    def _method(
        self,
        path: str,
        integration: apigateway.Integration,
        responses: list[apigateway.MethodResponse] | None = None,
    ) -> None:
        self.api.root.add_resource(path).add_method(
            "POST",
            integration,
            api_key_required=True,
            request_validator=self._validator,
            # API Gateway checks nothing at all when no model matches the content type.
            request_models={_JSON: self._model, "$default": self._model},
            method_responses=responses,
        )

    def _to_queue(self) -> apigateway.AwsIntegration:
        storage = self._storage
        role = iam.Role(
            self,
            "ToQueueRole",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            description=f"What {self._plan.names.api} may do",
            inline_policies={
                "queue": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            sid="Send", actions=["sqs:SendMessage"], resources=[storage.queue.queue_arn]
                        ),
                        iam.PolicyStatement(
                            sid="Key", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[storage.key.key_arn]
                        ),
                    ]
                )
            },
        )
        return apigateway.AwsIntegration(
            service="sqs",
            path=f"{self._plan.account}/{storage.queue.queue_name}",
            integration_http_method="POST",
            options=apigateway.IntegrationOptions(
                credentials_role=role,
                passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
                request_parameters={"integration.request.header.Content-Type": _FORM},
                request_templates={_JSON: _TO_QUEUE},
                integration_responses=_INTEGRATION_RESPONSES,
            ),
        )

    def _key(self) -> tuple[apigateway.IApiKey, apigateway.UsagePlan]:
        settings = self._plan.settings
        key = self.api.add_api_key("Key", api_key_name=self._plan.names.api_key)
        usage_plan = self.api.add_usage_plan(
            "UsagePlan",
            name=self._plan.names.usage_plan,
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.api, stage=self.api.deployment_stage)],
            throttle=apigateway.ThrottleSettings(rate_limit=settings.key_rate, burst_limit=settings.key_burst),
            quota=apigateway.QuotaSettings(limit=settings.daily_quota, period=apigateway.Period.DAY),
        )
        usage_plan.add_api_key(key)
        return key, usage_plan


_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTimeEpoch",
    "method": "$context.httpMethod",
    "path": "$context.resourcePath",
    "status": "$context.status",
}

_TO_QUEUE = "Action=SendMessage&Version=2012-11-05&MessageBody=$util.urlEncode($input.body)&MessageAttribute.1.Name=rtp_source&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=api"

_RESPONSES = [apigateway.MethodResponse(status_code=status) for status in ("202", "400", "413", "503")]

_INTEGRATION_RESPONSES = [
    apigateway.IntegrationResponse(
        status_code="202",
        selection_pattern=r"2\d{2}",
        response_templates={_JSON: '{"message": "accepted"}'},
    ),
    apigateway.IntegrationResponse(
        status_code="400",
        selection_pattern=r"4\d{2}",
        response_templates={_JSON: '{"message": "not accepted"}'},
    ),
    apigateway.IntegrationResponse(
        status_code="503",
        response_templates={_JSON: '{"message": "try again later; nothing was accepted"}'},
    ),
]
