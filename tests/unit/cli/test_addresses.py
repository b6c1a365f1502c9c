"""User and password of an address appear in no message."""

from __future__ import annotations

import io

import pytest

from rtp.errors import ConfigError, RtpError
from rtp.ops import doctor
from rtp.terminal.output import Output
from rtp.text import addresses
from rtp.text.elements import Block, Fields, Table, advice, line

SECRETS = ("hunter2", "us3r")
WITH = [
    "http://us3r:hunter2@127.0.0.1:4566",
    "https://us3r:hunter2@proxy.example/path?q=1#f",
    "http://us3r:hun@hunter2@proxy.example",
    "http://us3r:hun/hunter2@proxy.example",
    "postgres://us3r:hunter2@db/x",
    "http://us3r@host",
    "https://us3r:hun ter hunter2@proxy.example:8080/simple",
    "https://us3r:hun'hunter2@proxy.example",
    'https://us3r:hun"hunter2@[::1]:9',
    "https://us3r:x1234 hun@ter@hunter2@proxy.example",
    "https://us3r:4566hunter2@proxy.example",
    "https://us3r:hun<hunter2>@proxy.example, and more",
    "http://us3r:1234/hunter2@proxy.example:8080",
    "http://us3r:1234 hunter2@proxy.example",
    "http://us3r:1/hun 2/hunter2@proxy:8080/x",
    "http://us3r: hunter2@proxy.example",
    "http://us3r:hun\nhunter2@proxy.example",
    "http://us3r:12\nhunter2@proxy.example",
    "http://us3r.smith:8080/hunter2@proxy.example",
    "http://us3r.smith:1234 hunter2@proxy.example:8080",
    "http://us3r@corp.example:1234 hunter2@proxy.example:8080",
    "http://us3r@corp:hun hunter2@proxy",
    "http://us3r:hun@a b hunter2@proxy.example",
    "http://us3r:12@a@b c@hunter2@proxy.example",
    "http://us3r.smith:1234 hun ter hunter2@proxy.example",
    "http://us3r.smith:12\nhunter2@proxy.example",
    "http://us3r.smith:12#hunter2@proxy.example",
    "http://us3r.smith:12?hun@hunter2@proxy.example",
    "http://us3r.smith:12'hunter2@proxy.example",
    'http://us3r.smith:12"hun hunter2@proxy.example',
    "http://us3r.smith:12<hunter2>@proxy.example",
    "http://us3r.smith:12;hun hunter2@proxy.example",
    "http://us3r.smith:1234  hunter2@[::1]:8080",
    "http://us3r.smith:12/hun hunter2@proxy.example",
    "http://us3r.smith:12:34 hunter2@proxy.example",
    "https://us3r.smith: hunter2@proxy",
    "https://us3r.smith:\thunter2@proxy.example:8080/simple",
    "http://us3r.smith:\nhunter2@proxy.example",
    "http://us3r.smith:\u00a0hunter2@127.0.0.1:8080",
    "http://us3r.smith:  hun ter hunter2@[::1]:8080",
    "http://us3r.smith: 12 hunter2@proxy.example",
    "http://us3r.smith: hun@ter@hunter2@proxy.example",
    "http://us3r.smith: hun@ter hunter2@proxy.example",
    "http://us3r.smith: hun/hunter2@proxy.example",
    "http://us3r.smith: hun'hunter2@proxy.example",
    "http://us3r.smith: hun:hunter2@proxy.example",
    "http://us3r@corp.example: hunter2@proxy.example",
    "the proxy 'https://us3r.smith: hunter2@proxy' failed",
    "http://:80/hunter2@proxy.example",
    "us3r:hunter2@proxy.example/path",
    "HTTPS_PROXY=us3r:hunter2@proxy:8080",
    "us3r:hunter2@proxy.example",
    "the proxy 'us3r:hun@hunter2@localhost' failed",
    "us3r:hunter2@[::1]:8080",
    "us3r:hunter2@127.0.0.1:8080",
    "see 'http://us3r:hunter2@a.example', and http://:hunter2@b.example/x.",
]
WITHOUT = [
    "http://127.0.0.1:4566/a@b",
    "https://a.example/?mail=x@y.example",
    "mail me@a.example",
    "http://a.example:8080, or mail me@a.example",
    "http://a.example:8080 does not answer; mail me@a.example",
    "'http://a.example:8080' does not answer me@a.example",
    'the endpoint URL: "http://a.example:8080", and me@a.example',
    "http://127.0.0.1:4566 me@a.example",
    "http://localhost:4566?mail=me@a.example",
    "see https://a.example: mail me@a.example",
    "https://a.example: connection refused for user me@a.example",
    "https://a.example:\n  write to me@a.example",
    "https://a.example: timed out; me@a.example",
    "https://a.example: 403 Forbidden (contact: me@a.example)",
    "https://a.example: not found. Mail me@a.example",
    "http://127.0.0.1: me@a.example",
    "http://[::1]:4566/x and me@a.example",
    "https://a.example/@scope/name",
    "https://a.example:8443/@scope/name",
    "http://localhost:4566/a@b and http://localhost:4566 me@a.example",
    "http://proxy:8080, or mail me@a.example",
    "arn:aws:iam::123456789012:role/x@y",
    "public.ecr.aws/lambda/python:3.13@sha256:0123",
    "git@github.com:acme/shop.git",
    "mailto:me@a.example",
    "write to me@a.example: it is read",
    "npm:name@1",
    "http://***@proxy.example:8080 does not answer; mail me@a.example",
    "http://***@proxy.example and http://***@b.example",
    "at 12:30: me@a.example",
]


@pytest.mark.parametrize("text", WITH)
def test_no_message_shows_the_password_of_an_address(text: str) -> None:
    assert not any(secret in addresses.masked(text) for secret in SECRETS)
    error = ConfigError(f"bad: {text}", hint=f"Fix {text}.")
    for as_json in (False, True):
        out, err = io.StringIO(), io.StringIO()
        output = Output(json=as_json, where={"endpoint-url": text}, stdout=out, stderr=err, stdin=io.StringIO())
        output.error(error)
        output.error(RtpError("x", hint="Run `rtp deploy`."))
        output.warn(text)
        output.say(text, line(text), advice(f"`rtp x --a={text}`"), Fields([(text, text)]), Table([text], [[text]]))
        output.say(Block(text))
        assert not any(secret in stream.getvalue() for secret in SECRETS for stream in (out, err))
    check = doctor.failed("config", error)
    assert not any(secret in check.detail + check.fix for secret in SECRETS)


def test_a_long_hostile_text_is_masked_in_time_that_grows_with_it() -> None:
    for text in ("://a:" * 20_000 + "@", "a:" * 50_000 + "@", "://" + "a" * 100_000 + "@", "://a:1/" * 20_000 + "@x"):
        addresses.masked(text)
    for text in ("://a.b: " * 20_000 + "@", "://a.b: to@" * 20_000, "://a.b:" + " " * 100_000 + "@x"):
        addresses.masked(text)


@pytest.mark.parametrize("text", WITHOUT)
def test_text_without_credentials_stays(text: str) -> None:
    assert addresses.masked(text) == text


def test_a_suggested_command_names_no_password() -> None:
    err = io.StringIO()
    Output(where={"endpoint-url": WITH[0]}, stderr=err).error(RtpError("x", hint="Run `rtp deploy`."))
    assert "--endpoint-url=URL" in err.getvalue()
