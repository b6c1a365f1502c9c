"""What a command works with: its environment, AWS, the outputs of the deployed stack, the terminal."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, NotFoundError, RefusedError, RtpError
from rtp.text import suggest

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.aws.in_flight import Request
    from rtp.aws.stacks import Stack
    from rtp.config import Environment, Overrides, Resolved
    from rtp.local.engine import Engine
    from rtp.local.weather.choice import Weather
    from rtp.ops.releases import Names
    from rtp.terminal.output import Output


class Session:
    """One run of one command. Each property is computed at its first use."""

    def __init__(self, overrides: Overrides, out: Output) -> None:
        self.overrides = overrides
        self.out = out

    @cached_property
    def environment(self) -> Environment:
        """The environment the command works on. Raises ConfigError."""
        return self._resolved.environment

    @cached_property
    def _resolved(self) -> Resolved:
        from rtp.config import environments

        return environments.explain(self.overrides)

    @cached_property
    def aws(self) -> Aws:
        """AWS or the engine; the embedded one must be running. Raises RtpError."""
        return self._connect(start=False)

    def start(self) -> Aws:
        """As `aws`, but the embedded engine is started when it is not running."""
        self.__dict__["aws"] = aws = self._connect(start=True)
        return aws

    @cached_property
    def guarded(self) -> Aws:
        """As `aws`, after a check of the account: another account may have a stack of this name too.

        Raises RefusedError in another account.
        """
        from rtp.ops.access import guard

        if self.environment.account is not None:
            guard.account(self.aws, self.environment)
        return self.aws

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Outputs of the deployed stack, to act on it. Raises NotFoundError without one.

        Raises RefusedError in another account, and where the stack is another project's.
        """
        from rtp.aws import stacks
        from rtp.ops.access import ownership

        ownership.check(self.guarded, self._stack, self.environment)
        return stacks.deployed(self.guarded, self.environment.names.stack, self._stack).outputs

    @cached_property
    def outputs_to_read(self) -> dict[str, str]:
        """As `outputs`, for commands that change nothing: if the stack is another project's, warn and continue."""
        from rtp.aws import stacks
        from rtp.ops.access import ownership

        owner = ownership.foreign(self.guarded, self._stack, self.environment)
        if owner is not None:
            self.out.warn(f"{ownership.describe(self.environment, owner)}.")
        return stacks.deployed(self.guarded, self.environment.names.stack, self._stack).outputs

    @cached_property
    def last_deploy(self) -> str:
        """When the stack was last created or updated, in ISO 8601. Raises NotFoundError without one."""
        from rtp.aws import stacks
        from rtp.text import times

        stack = stacks.deployed(self.guarded, self.environment.names.stack, self._stack)
        updated = stack.updated or stack.created
        if updated is None:
            raise NotFoundError("CloudFormation does not say when the stack was last deployed.", hint="Give a time.")
        return times.iso(times.ms(updated))

    def unanswered(self) -> list[Request]:
        """The requests that have no answer yet."""
        aws = self.__dict__.get("aws")
        return [] if aws is None else aws.in_flight.requests()

    def say_waiting(self, text: str) -> None:
        """Say what is waited for. The local engine is busy at times: for it only where a person looks on."""
        if self.out.attended or not self.environment.local:
            self.out.say(text)

    def say_unanswered(self) -> None:
        """After an interrupt, name the changes that were requested and have no answer: they may have been made."""
        changes = sorted({request.what for request in self.unanswered() if not request.is_read})
        if changes:
            self.out.say(f"no answer yet to {', '.join(changes)}: it may have been carried out")

    def located(self, error: NotFoundError) -> NotFoundError:
        """An error of this session; where there is no rtp.toml, its fix begins with that: the folder may be wrong."""
        known = self.__dict__.get("environment")
        if known is not None and known.file is None:
            where = "There is no rtp.toml here or above: run rtp in the project's folder, or name that with -C DIR."
            error.hint = f"{where} {error.hint}".strip()
        return error

    def recheck(self) -> None:
        """After a prompt, check again that the stack exists and is this project's. Raises as `outputs` does."""
        from rtp.aws import stacks
        from rtp.ops.access import ownership

        stack = stacks.deployed(self.guarded, self.environment.names.stack, self._stack)
        ownership.recheck(self.guarded, self.environment, stack.id)

    def release_names(self) -> Names:
        """The numbers of the environment's releases; none where they cannot be read: then hashes are shown."""
        from rtp.ops import releases

        try:
            return releases.read(self.guarded, self.environment)
        except RtpError:
            return {}

    @cached_property
    def _stack(self) -> Stack | None:
        from rtp.aws import stacks

        return stacks.describe(self.guarded, self.environment.names.stack)

    @property
    def is_protected(self) -> bool:
        """Whether rtp.toml protects the environment, or its stack was deployed as protected."""
        return self.environment.protected or (self._stack is not None and self._stack.protected)

    @property
    def weather(self) -> Weather | None:
        """The weather that the local engine is to have, by rtp.toml. Raises UsageError for an unknown effect."""
        from rtp.local.weather.choice import Weather

        environment = self.environment
        if environment.weather is False:
            return None
        seed = None if environment.weather is True else environment.weather
        return Weather.of(seed, environment.weather_effects)

    def _connect(self, *, start: bool) -> Aws:
        from rtp.aws import Aws
        from rtp.trust import endpoints

        environment = self.environment
        url, keys, consistent = environment.endpoint_url, None, environment.local
        if environment.embedded:
            running = self._engine(start=start)
            url, keys, consistent = running.endpoint_url, running.keys, running.weather is None
        elif url is not None and environment.local:
            from rtp.local import lookup

            keys = lookup.keys_for(url, environment.root, os.environ)
        else:
            _refuse_foreign_endpoints(environment)
        is_elsewhere = url is not None and not environment.local and endpoints.is_elsewhere(url)
        if url is not None and is_elsewhere:
            self._check_endpoint(url)
        aws = Aws(
            region=environment.region,
            endpoint_url=url,
            profile=environment.profile,
            only_variables=is_elsewhere and environment.profile is None,
            local=environment.local,
            keys=keys,
            prompt=self.out.code if self.out.can_ask_code else None,
        )
        aws.consistent = consistent
        return aws

    def _check_endpoint(self, url: str) -> None:
        """Ask once whether requests of this project may go to an endpoint that rtp.toml names. Raises RefusedError."""
        from rtp.config import FILE
        from rtp.trust import store

        environment = self.environment
        if not self._resolved.origins.get("endpoint_url", "").startswith(FILE):
            return  # the operator named it on this command line
        if store.trusts_endpoint(environment.root, url):
            return
        where = f"to {url}, which is neither AWS nor this machine's localhost"
        question = f"rtp.toml sends the requests of {environment.name} {where}."
        if not self.out.interactive:
            consent = suggest.command("rtp", "trust", values=[environment.root], endpoint_url=url)
            raise RefusedError(
                question,
                hint=suggest.sentence("If that is right, run {}.", consent, otherwise="Remove endpoint_url."),
                code="untrusted-endpoint",
            )
        self.out.confirm(f"{question} Send them there from now on?", yes=False)
        store.add(environment.root, endpoint_url=url)

    def _engine(self, *, start: bool) -> Engine:
        from rtp.local import engine

        root = self.environment.root
        if not start:
            running = engine.require(root)
        else:
            environment = self.environment
            running = engine.start(
                root,
                weather=self.weather,
                enforce_iam=environment.enforce_iam,
                save_every_s=environment.save_every_s,
            )
        if running.loss:
            self.out.warn(running.loss)
        return running


def _refuse_foreign_endpoints(environment: Environment) -> None:
    set_here = sorted(k for k in os.environ if k == "AWS_ENDPOINT_URL" or k.startswith("AWS_ENDPOINT_URL_"))
    if set_here and environment.endpoint_url is None:
        raise ConfigError(
            f"{', '.join(set_here)} is set, so commands of {environment.name} would not reach AWS.",
            hint=f"Unset it, or set endpoint_url in [env.{environment.name}].",
        )
