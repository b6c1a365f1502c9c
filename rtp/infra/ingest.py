"""The REST API: POST /process calls the processor, POST /events sends to the queue; with a key and a usage plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aws_cdk import Fn
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_wafv2 as waf
from aws_cdk import aws_xray as xray
from constructs import Construct

from rtp.contract import API_STAGE, IAM
from rtp.infra import answers
from rtp.infra.event_schema import EVENT
from rtp.infra.logs import log_group
from rtp.runtime import wire

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

    from rtp.infra.plan import Plan
    from rtp.infra.storage import Storage

_JSON = "application/json"
_PRIORITY = 1000  # of the sampling rule; the lowest number decides, and the account's default rule has 10,000
_RETRY_AFTER = "method.response.header.Retry-After"


class Ingest(Construct):
    """A regional API with one stage. All its responses are JSON, also its errors."""

    def __init__(
        self, scope: Construct, id: str, *, plan: Plan, storage: Storage, processor: lambda_.IFunction
    ) -> None:
        super().__init__(scope, id)
        self._plan = plan
        self._storage = storage
        self.api = self._api()
        self._answers()
        self._model = self._event_model()
        self._validator = self.api.add_request_validator(
            "Validator", validate_request_body=True, validate_request_parameters=True
        )
        self._method("process", apigateway.LambdaIntegration(processor, proxy=True, allow_test_invoke=False))
        self._method("events", self._to_queue(), responses=_method_responses())
        self.key, self.usage_plan = self._key()
        if plan.sampled:
            self._sampling_rule()
        if plan.web_acl:
            stage = self.api.deployment_stage.stage_arn
            waf.CfnWebACLAssociation(self, "WebAcl", resource_arn=stage, web_acl_arn=plan.web_acl)

    def _api(self) -> apigateway.RestApi:
        plan, names = self._plan, self._plan.names
        # Without logs the groups stay, so that switching them off deletes no lines, and on again finds no other group.
        access_log = log_group(self, "AccessLog", plan=plan, key=self._storage.key, name=names.access_log_group)
        level, logged = apigateway.MethodLoggingLevel, plan.settings.api_logs
        api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=names.api,
            description=f"Events of {names.stack}",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            policy=self._policy(),
            cloud_watch_role=False,  # it belongs to the account, not to a stack: `rtp doctor` checks it
            api_key_source_type=apigateway.ApiKeySourceType.HEADER,
            deploy_options=apigateway.StageOptions(
                stage_name=API_STAGE,
                throttling_rate_limit=plan.settings.throttle_rate,
                throttling_burst_limit=plan.settings.throttle_burst,
                tracing_enabled=plan.traced,
                metrics_enabled=True,
                logging_level=level.ERROR if logged else level.OFF,
                data_trace_enabled=False,  # it would write whole bodies to the log
                access_log_destination=apigateway.LogGroupLogDestination(access_log) if logged else None,
                access_log_format=apigateway.AccessLogFormat.custom(answers.ACCESS_LOG) if logged else None,
            ),
        )
        api.node.try_remove_child("Endpoint")  # an output with the same value as our own
        # Where this group is missing, API Gateway creates it at the first error: unencrypted and without an expiry.
        execution_log = log_group(
            self,
            "ExecutionLog",
            plan=plan,
            key=self._storage.key,
            name=Fn.join("", ["API-Gateway-Execution-Logs_", api.rest_api_id, f"/{API_STAGE}"]),
        )
        api.deployment_stage.node.add_dependency(execution_log)
        return api

    def _policy(self) -> iam.PolicyDocument | None:
        """The resource policy of allowed_cidrs; a changed one changes the deployment's logical id, and so is deployed.

        With IAM it allows nobody: what a resource policy allows needs no permission of the caller's own account.
        """
        cidrs = self._plan.settings.allowed_cidrs
        if not cidrs:
            return None
        anyone: dict[str, Any] = {
            "principals": [iam.StarPrincipal()],
            "actions": ["execute-api:Invoke"],
            "resources": ["execute-api:/*"],
        }
        elsewhere = {"NotIpAddress": {"aws:SourceIp": list(cidrs)}}
        statements = [iam.PolicyStatement(sid="Elsewhere", effect=iam.Effect.DENY, conditions=elsewhere, **anyone)]
        if not self._signed:
            statements.append(iam.PolicyStatement(sid="Here", **anyone))
        return iam.PolicyDocument(statements=statements)

    @property
    def _signed(self) -> bool:
        """Whether callers sign their requests, and need no key."""
        return self._plan.settings.auth == IAM

    def _answers(self) -> None:
        for answer in answers.gateway_answers(signed=self._signed):
            self.api.add_gateway_response(
                answer.type.title().replace("_", ""),
                type=apigateway.ResponseType.of(answer.type),
                status_code=None if answer.status is None else str(answer.status),
                response_headers=answer.headers or None,
                templates={_JSON: answer.template},
            )

    def _event_model(self) -> apigateway.Model:
        model = self.api.add_model(
            "Event", content_type=_JSON, model_name="Event", schema=apigateway.JsonSchema(title="Event")
        )
        # The L2 construct needs a tree of its own classes; the L1 resource accepts the schema that the tests read too.
        cast("apigateway.CfnModel", model.node.default_child).schema = EVENT
        cast("apigateway.Deployment", self.api.latest_deployment).add_to_logical_id({"event": EVENT})
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
            api_key_required=not self._signed,
            authorization_type=apigateway.AuthorizationType.IAM if self._signed else None,
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
            assumed_by=self._gateway(),
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
                request_parameters={"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
                request_templates={_JSON: answers.TO_QUEUE},
                integration_responses=_integration_responses(),
            ),
        )

    def _gateway(self) -> iam.ServicePrincipal:
        """API Gateway, for this API of this account alone.

        IfExists: API Gateway does not name its source in every call to STS (verified.md), and would then be refused.
        """
        api = self._plan.arn("execute-api", f"{self.api.rest_api_id}/*")
        return iam.ServicePrincipal(
            "apigateway.amazonaws.com",
            conditions={
                "StringEqualsIfExists": {"aws:SourceAccount": self._plan.account},
                "ArnLikeIfExists": {"aws:SourceArn": api},
            },
        )

    def _key(self) -> tuple[apigateway.IApiKey, apigateway.UsagePlan]:
        settings, names = self._plan.settings, self._plan.names
        # A new name and logical id are a new key, which CloudFormation creates before it deletes the old one.
        version = "" if settings.stack_key_version == 1 else str(settings.stack_key_version)
        key = self.api.add_api_key(
            f"Key{version}",
            api_key_name=f"{names.api_key}{version and '-'}{version}",
            description=f"Key of {names.api} for rtp itself",
        )
        usage_plan = self.api.add_usage_plan(
            "UsagePlan",
            name=names.usage_plan,
            description=f"Usage of {names.api}, per key",
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.api, stage=self.api.deployment_stage)],
            throttle=apigateway.ThrottleSettings(rate_limit=settings.key_rate, burst_limit=settings.key_burst),
            quota=apigateway.QuotaSettings(limit=settings.daily_quota, period=apigateway.Period.DAY),
        )
        usage_plan.add_api_key(key)
        return key, usage_plan

    def _sampling_rule(self) -> None:
        """X-Ray's sampling rule for the stage: its decision holds for the functions too."""
        names = self._plan.names
        percent = self._plan.settings.trace_percent or 0
        xray.CfnSamplingRule(
            self,
            "Sampling",
            sampling_rule=xray.CfnSamplingRule.SamplingRuleProperty(
                rule_name=names.sampling_rule,
                priority=_PRIORITY,
                reservoir_size=1,
                fixed_rate=percent / 100,
                service_name=f"{names.api}/{API_STAGE}",
                service_type="AWS::ApiGateway::Stage",
                host="*",
                http_method="*",
                url_path="*",
                resource_arn="*",
                version=1,
            ),
        )


def _integration_responses() -> list[apigateway.IntegrationResponse]:
    """Responses by the status of SQS. The one without a pattern covers all other statuses, so it must not be a 2xx."""
    return [
        apigateway.IntegrationResponse(
            status_code="202", selection_pattern=r"2\d{2}", response_templates={_JSON: answers.ACCEPTED}
        ),
        apigateway.IntegrationResponse(
            status_code="400", selection_pattern=r"4\d{2}", response_templates={_JSON: answers.REFUSED}
        ),
        apigateway.IntegrationResponse(
            status_code="503",
            response_templates={_JSON: answers.UNAVAILABLE},
            response_parameters={_RETRY_AFTER: f"'{wire.RETRY_AFTER_SECONDS}'"},
        ),
    ]


def _method_responses() -> list[apigateway.MethodResponse]:
    return [
        apigateway.MethodResponse(status_code="202"),
        apigateway.MethodResponse(status_code="400"),
        apigateway.MethodResponse(status_code="503", response_parameters={_RETRY_AFTER: True}),
    ]
