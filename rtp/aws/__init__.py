"""AWS: cached botocore clients, and calls whose errors are rtp's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from rtp import __version__
from rtp.aws import answers, json_answers, recording, sign_in
from rtp.aws.failures import translated
from rtp.aws.in_flight import InFlight
from rtp.errors import ConfigError, CredentialsError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_ATTEMPTS = 4
_READ_S = 30  # a receive call of SQS waits up to 20 s
EMULATOR_KEYS = ("test", "test")  # for an emulator that is not rtp's engine and accepts any


class Aws:
    """AWS, or an emulator of it, in one region with one identity.

    local: an emulator on this machine. The operator's profiles, keys and AWS_* variables are then ignored, so that the
    two never mix. keys: the access key id and secret that the emulator accepts.
    only_variables: credentials are those of AWS_ACCESS_KEY_ID and its like, never a profile's or this machine's role's.
    prompt: asks the operator for an MFA code; None where nobody can be asked.
    consistent: counts are exact, and a receive finds every message; not on AWS, nor in the local engine's weather.
    """

    def __init__(
        self,
        *,
        region: str,
        endpoint_url: str | None = None,
        profile: str | None = None,
        local: bool = False,
        keys: tuple[str, str] | None = None,
        prompt: Callable[[str], str] | None = None,
        only_variables: bool = False,
    ) -> None:
        self.region = region
        self.endpoint_url = endpoint_url
        self.profile = profile
        self.local = local
        self.consistent = local
        self._local_keys = keys or EMULATOR_KEYS
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._session: Any = None
        self._account: str | None = None
        self._identity = ""
        self._prompt = prompt
        self._only_variables = only_variables
        self._at_least_s = 0.0
        self.in_flight = InFlight()

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Make an API call, such as `call("sqs", "get_queue_attributes", QueueUrl=…)`. Raises an AwsError."""
        params = self._owned(service, operation, params) | params
        with translated(self, service, operation, params):
            values: dict[str, Any] = getattr(self.client(service), operation)(**params)
        source = answers.Source(self.where(service), f"{service} {operation}")
        if source.call in json_answers.CHECKED:  # with thousands of elements, whose shape is known
            return answers.Answer(values, source)
        answer: answers.Answer = answers.of(values, source)
        return answer

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        """Yield every element under `key` of every page of a paginated call. Raises AwsError or a subclass."""
        params = self._owned(service, operation, params) | params
        with translated(self, service, operation):
            paginator = self.client(service).get_paginator(operation)
        pages = iter(paginator.paginate(**params))
        source = answers.Source(self.where(service), f"{service} {operation}")
        while True:
            with translated(self, service, operation, params):
                page = next(pages, None)
            if page is None:
                return
            elements = page.get(key) or ()
            yield from elements if source.call in json_answers.CHECKED else answers.of(elements, source)

    def _owned(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, str]:
        """What makes S3 refuse a bucket of another account: who deletes a bucket leaves its name to everybody."""
        names_bucket = service == "s3" and "Bucket" in params and operation != "create_bucket"
        return {"ExpectedBucketOwner": self.account} if names_bucket else {}

    @property
    def account(self) -> str:
        """Account id of the credentials. Raises CredentialsError."""
        if self._account is None:
            answer = self.call("sts", "get_caller_identity")
            self._account, self._identity = str(answer["Account"]), str(answer.get("Arn", ""))
        return self._account

    @property
    def identity(self) -> str:
        """ARN of the identity that the credentials are of. Raises CredentialsError."""
        return self._identity if self.account else ""

    def sign_in(self, *, at_least_s: float) -> None:
        """Resolve the credentials now, so that the operator is asked before a long operation and not during it.

        at_least_s: how long temporary ones must last; shorter ones are replaced, where the role allows it.
        Raises CredentialsError.
        """
        if self.local:
            return
        with translated(self, "sts", "credentials"):
            if sign_in.ends_within(self._shared_session(), at_least_s):
                self._at_least_s = at_least_s
                with self._lock:
                    self._clients, self._session = {}, None
                sign_in.variables(self._shared_session())
                self._at_least_s = 0.0

    def _shared_session(self) -> Any:
        with self._lock:
            return self._attached_session()

    def _attached_session(self) -> Any:
        """The session, made once, with what is attached to its clients; within the lock."""
        if self._session is None:
            self._session = self._make_session()
            recording.attach(self._session)
            json_answers.attach(self._session)
            answers.attach(self._session)
            self.in_flight.attach(self._session, self.where, limit_s=_ATTEMPTS * _READ_S)
        return self._session

    def _mfa_code(self, question: str) -> str:
        if self._prompt is None:
            who = f"profile {self.profile}" if self.profile else "default profile"
            raise CredentialsError(
                f"The {who} needs an MFA code, and there is no terminal to ask for it on.",
                hint=sign_in.no_terminal(self.profile),
                code="mfa",
            )
        code = self._prompt(question).strip()
        if not code:
            raise RefusedError("No MFA code; nothing was changed.")
        return code

    def renew(self) -> None:
        """Read the credentials again, for the calls from now on. Raises RefusedError where they are another account's.

        For an operator who has signed in again in another terminal. Raises CredentialsError while nobody has.
        """
        with self._lock:
            self._clients, self._session = {}, None
        before, self._account = self._account, None
        try:
            if before is not None and self.account != before:
                raise RefusedError(
                    f"The credentials were account {before}'s, and are {self.account}'s now.",
                    hint=f"Sign in to {before} again.",
                    code="wrong-account",
                )
        finally:
            self._account = before

    def connect(self, *services: str) -> None:
        """Make the clients of these services now. Making one takes long, and threads would wait for each other."""
        for service in services:
            self.client(service)

    def client(self, service: str) -> Any:
        """The botocore client of a service, made once. Its errors are not translated: prefer `call`."""
        with self._lock:
            if service not in self._clients:
                with translated(self, service, "connect"):
                    self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=3 if self.local else 10,
            read_timeout=_READ_S,
            max_pool_connections=50,
            user_agent_extra=f"rtp/{__version__}",
            s3={"addressing_style": "path"} if self.endpoint_url else None,
            proxies={} if self.local else None,
        )
        return self._attached_session().create_client(
            service, region_name=self.region, endpoint_url=self.endpoint_url, config=config, **self._keys()
        )

    def where(self, service: str) -> str:
        """Where the requests to a service go, for messages."""
        return self.endpoint_url or f"AWS {service} in {self.region}"

    def _keys(self) -> dict[str, str]:
        names = ("aws_access_key_id", "aws_secret_access_key")
        return dict(zip(names, self._local_keys, strict=True)) if self.local else {}

    def _make_session(self) -> Any:
        import botocore.session

        if self._only_variables:
            return _session_of_variables()
        if not self.local:
            session = botocore.session.Session(profile=self.profile)
            if self.endpoint_url is None:
                _refuse_foreign_endpoint(session)
            sign_in.prepare(session, self._mfa_code, at_least_s=self._at_least_s)
            return session
        return botocore.session.Session(
            session_vars={
                "profile": (None, [], None, None),
                "config_file": (None, [], "/dev/null", None),
                "credentials_file": (None, [], "/dev/null", None),
            }
        )

    def credentials(self) -> Any:
        """Credentials of this moment, to sign a request that no client makes. Raises CredentialsError."""
        from botocore.credentials import ReadOnlyCredentials
        from botocore.exceptions import NoCredentialsError

        if self.local:
            return ReadOnlyCredentials(*self._local_keys, None)
        with translated(self, "sts", "credentials"):
            credentials = self._shared_session().get_credentials()
            if credentials is None:
                raise NoCredentialsError
            return credentials.get_frozen_credentials()

    def environment(self) -> dict[str, str]:
        """AWS variables for a child process, such as the CDK CLI, so that it uses the same endpoint and identity.

        It gets the credentials themselves: it could not ask for an MFA code. Raises CredentialsError.
        """
        env = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if self.endpoint_url:
            env["AWS_ENDPOINT_URL"] = self.endpoint_url
            env["AWS_S3_FORCE_PATH_STYLE"] = "true"
        if self.local:
            env |= {
                "AWS_ACCESS_KEY_ID": self._local_keys[0],
                "AWS_SECRET_ACCESS_KEY": self._local_keys[1],
                "AWS_CONFIG_FILE": "/dev/null",
                "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        else:
            with translated(self, "sts", "credentials"):
                env |= sign_in.variables(self._shared_session())
        return env


def _session_of_variables() -> Any:
    """A session for an endpoint that is not AWS's: it knows no profile, and no role of this machine."""
    import botocore.session
    from botocore.credentials import CredentialResolver, EnvProvider

    nowhere: Any = (None, [], "/dev/null", None)
    session = botocore.session.Session(
        session_vars={"profile": (None, [], None, None), "config_file": nowhere, "credentials_file": nowhere}
    )
    session.register_component("credential_provider", CredentialResolver([EnvProvider()]))
    return session


def _refuse_foreign_endpoint(session: Any) -> None:
    """Refuse a profile that redirects all calls, or those of one service, away from AWS. Raises ConfigError."""
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    sections = [section for section in services.values() if isinstance(section, dict)]
    elsewhere = profile.get("endpoint_url") or next((s["endpoint_url"] for s in sections if "endpoint_url" in s), None)
    if elsewhere and not session.get_config_variable("ignore_configured_endpoint_urls"):
        raise ConfigError(
            f"The profile {session.profile or 'default'} sends calls to {elsewhere}, so this would not be AWS.",
            hint="Remove endpoint_url from the profile, set AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true, "
            "or give the environment an endpoint_url in rtp.toml.",
        )
