"""Mapping templates: the part of Velocity that integrations are written in."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.local.mapping import Input, MappingError, render

SOURCE = Input('{"a": {"b": "c d"}, "n": 1}', {"name": "value"})


def made(template: str, context: dict[str, Any] | None = None) -> str:
    return render(template, SOURCE, {} if context is None else context)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain $5 and # and #hash", "plain $5 and # and #hash"),
        ("$input.params('name')${input.params('name')}", "valuevalue"),
        ("$input.params('other')", ""),
        ("$input.path('$.a.b')|$input.json('$.a')|$input.path('$.x')", 'c d|{"b": "c d"}|'),
        ("$util.urlEncode($input.path('$.a.b'))", "c+d"),
        ("#set($x = 'a')$x#set($x = \"b\")$x", "ab"),
        ("$context.requestId.$context.none", "r."),
        ("#if(1 == 1)yes#{else}no#end!", "yes!"),
        ("#if(1 > 2)a#elseif('x' != 'y')b#{else}c#end", "b"),
        ("#if(false)a#elseif(false)b#{else}c#end", "c"),
        ("#if(true)#if(false)a#{else}b#end#{else}#if(true)c#end#end", "b"),
        ("#if(false || !(1 >= 2) && true)x#end", "x"),
        ("#if('abc'.length() == 3)3#end", ""),  # a literal has no methods in Velocity
        ("#set($s = 'a%2Fb')$s.replaceAll('%..', '_').length()", "3"),
        ("#set($s = 'abc')#if($s.matches('a.c') && $s.contains('b') && $s.startsWith('a'))y#end", "y"),
        ("#if($none)x#end#if($none == '')y#end", ""),
        ("#set($x = 'a')\nb", "b"),
    ],
)
def test_it_renders(template: str, text: str) -> None:
    if "'abc'.length" in template:
        with pytest.raises(MappingError):
            made(template)
        return
    assert made(template, {"requestId": "r"}) == text


def test_values_set_in_the_context_are_visible_to_the_caller() -> None:
    context: dict[str, Any] = {"requestId": "r"}
    made(
        "#set($context.responseOverride.status = 413)#if(false)#set($context.responseOverride.status = 1)#end", context
    )
    assert context == {"requestId": "r", "responseOverride": {"status": 413}}


@pytest.mark.parametrize(
    "template",
    ["#if(true)open", "#end", "#if true", "$input.other", "$util.base64Encode('x')", "#set($x 1)", "${input.body"],
)
def test_unsupported_templates_are_errors(template: str) -> None:
    with pytest.raises(MappingError):
        made(template)


def test_a_payload_is_never_read_as_a_template() -> None:
    hostile = "#set($context.x = 1)$input.body #if(true)"
    context: dict[str, Any] = {}
    assert render("$input.body", Input(hostile, {}), context) == hostile
    assert context == {}
