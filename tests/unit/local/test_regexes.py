"""Users' regular expressions elsewhere: all of Python's, with a time limit, wherever the engine takes some."""

from __future__ import annotations

import importlib
import re
import threading
from typing import Any

import pytest

from rtp.local.patches import user_regexes
from rtp.local.patches.patch import MismatchError
from rtp.local.regexes import Timed, TooSlowError, compile_timed

SLOW = ("^(a|aa)+$", "a" * 80 + "!")


@pytest.mark.slow
def test_a_match_that_takes_too_long_is_interrupted() -> None:
    pattern, text = SLOW
    timed = compile_timed(pattern)
    with pytest.raises(TooSlowError, match="takes too long"):
        timed.search(text)
    with pytest.raises(TooSlowError):
        timed.sub("x", text)
    with pytest.raises(TooSlowError):
        list(timed.finditer(text))


def test_other_threads_run_during_a_match() -> None:
    # Given a match in a thread, which holds up every other one where it is the standard library's
    def match() -> None:
        with pytest.raises(TooSlowError):
            compile_timed(SLOW[0]).search(SLOW[1])
        ended.set()

    ended = threading.Event()
    thread = threading.Thread(target=match)
    thread.start()
    # When something else is done
    seen = 0
    while not ended.is_set():
        ended.wait(0.001)
        seen += 1
    # Then it got its turns before the end
    assert seen > 10


def test_it_replaces_the_module_re() -> None:
    timed = Timed()
    calls: list[tuple[Any, ...]] = [
        ("search", "b+", "abbb"),
        ("search", "B", "abbb", re.IGNORECASE),
        ("match", "a", "abbb"),
        ("match", "b", "abbb"),
        ("fullmatch", "(?=a)a.b", "a\nb", re.DOTALL),
        ("fullmatch", r"\w", "é", re.ASCII),
        ("findall", "^b$", "b\nb", re.MULTILINE),
        ("split", ",", "a,b,c", 1),
        ("sub", "(a)", r"<\1>", "banana", 1),
        ("subn", "a", "x", "banana"),
    ]
    for name, *args in calls:
        mine, theirs = getattr(timed, name)(*args), getattr(re, name)(*args)
        assert getattr(mine, "group", lambda m=mine: m)() == getattr(theirs, "group", lambda t=theirs: t)(), name
    assert [m.span() for m in timed.finditer("a", "banana")] == [m.span() for m in re.finditer("a", "banana")]
    assert timed.compile("(a)(b)", timed.IGNORECASE).groups == 2
    assert timed.escape("*") == r"\*"
    with pytest.raises(timed.error):
        timed.search("(", "x")


def test_the_patch_applies_to_every_module_that_takes_users_expressions() -> None:
    for name in user_regexes.MODULES:
        module: Any = importlib.import_module(name)
        before = module.re
        try:
            user_regexes.install_in(module)
            assert isinstance(module.re, Timed), name
        finally:
            module.re = before
    with pytest.raises(MismatchError):
        user_regexes.install_in(threading)
