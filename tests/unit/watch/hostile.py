"""Text that wants to drive a terminal, a browser or a parser."""

PAYLOADS = [
    "\x1b[2J\x1b[31mred",
    "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1bP1$r\x1b\\",
    "\x9b31mC1",
    "over\rwritten",
    "back\x08\x08space",
    "bell\x07",
    "\u202egnp.exe",
    "\u2066isolate\u2069",
    "null\x00byte",
    "[red]markup[/red] [link=http://evil.example]x[/link]",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE x; --",
    "new\nline",
    "tab\there",
    "\ud800 lone surrogate",
    "‮\u2028\u2029\ufeff",
    "%s %d {0} {x!r} $HOME `id`",
]
