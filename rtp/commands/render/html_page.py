"""What every HTML page of rtp has: one file with no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rtp.text import times
from rtp.text.sanitize import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

# Colours for a light and a dark screen; paper is light. On a phone, the bar of a row is below its name, and
# the last cell of a table's row, which is the longest, below the others.
_STYLE = """
:root{color-scheme:light;--ink:#1b1f24;--dim:#59636e;--line:#d9dee5;--ok:#2f7dd1;--warn:#945800;--bad:#c53030;
--good:#1a7f37;--page:#fff;--soft:#f4f6f9}
@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark;--ink:#e4e8ee;--dim:#9aa7b5;--line:#303843;
--ok:#63a4e8;--warn:#e0ab4a;--bad:#f47272;--good:#3fb950;--page:#14181d;--soft:#1c2229}}
*{box-sizing:border-box}
body{margin:2rem auto;max-width:70rem;padding:0 1rem;background:var(--page);color:var(--ink);
font:14px/1.5 system-ui,sans-serif}
h1{font-size:1.15rem;margin:0;font-family:ui-monospace,monospace;overflow-wrap:anywhere}
h2{font-size:1rem;margin:1.6rem 0 .4rem;overflow-wrap:anywhere}
.sub{color:var(--dim);margin:.2rem 0 1.2rem}
details,.log{border-top:1px solid var(--line)}
summary,.axis{display:grid;grid-template-columns:minmax(14rem,34%) 5rem 1fr;gap:.6rem;padding:.25rem .3rem;
align-items:center}
summary{cursor:pointer;list-style:none}
summary::-webkit-details-marker{display:none}
summary:hover{background:var(--soft)}
summary:focus-visible{outline:2px solid var(--ok)}
.name{overflow-wrap:anywhere}
.took{text-align:right;color:var(--dim);font-variant-numeric:tabular-nums}
.bar{display:block;width:100%;height:.8rem;background:var(--soft);border-radius:2px}
.bar rect{fill:var(--ok)}.error>summary .bar rect{fill:var(--warn)}.fault>summary .bar rect{fill:var(--bad)}
.bar .wait{fill:var(--dim)!important;opacity:.5}
.fault>summary .name{color:var(--bad);font-weight:600}.error>summary .name{color:var(--warn);font-weight:600}
.axis{color:var(--dim);font-size:12px}
.ticks{position:relative;height:1.2rem;font-variant-numeric:tabular-nums}
.ticks span{position:absolute;bottom:0;padding-left:.2rem;border-left:1px solid var(--line);white-space:nowrap}
.ticks .last{right:0;padding:0 .2rem 0 0;border-left:0;border-right:1px solid var(--line)}
.more{padding:.2rem .3rem .6rem 1.5rem}
pre{margin:.3rem 0;padding:.5rem;background:var(--soft);border-radius:4px;overflow-x:auto;white-space:pre-wrap;
overflow-wrap:anywhere;font:12px/1.45 ui-monospace,monospace}
.problem{color:var(--bad);font-weight:600;margin:.3rem 0 0;overflow-wrap:anywhere}
.dim{color:var(--dim)}
.log{display:grid;grid-template-columns:12.5rem 4.5rem 1fr;gap:.6rem;font:12px/1.45 ui-monospace,monospace;
color:var(--dim);padding:.1rem .3rem}
.log.WARNING .text{color:var(--warn)}.log.ERROR .text,.log.CRITICAL .text{color:var(--bad)}
.text{white-space:pre-wrap;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem .3rem;border-top:1px solid var(--line)}
td:last-child{overflow-wrap:anywhere}
.wide{overflow-x:auto}
th{color:var(--dim);font-weight:400;white-space:nowrap}
.facts th{width:12rem}
.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}
footer{margin-top:1.5rem;color:var(--dim);font-size:12px}
@media screen and (max-width:40rem){
body{margin:1rem auto;padding:0 .6rem}
summary{grid-template-columns:1fr auto;gap:0 .6rem}.axis{grid-template-columns:1fr}
.axis>:empty{display:none}
summary .bar{grid-column:1/-1}
.log{grid-template-columns:auto 1fr;gap:0 .6rem;margin-left:0!important}.log .text{grid-column:1/-1}
.more{padding-left:.3rem}
.facts th,.facts td{display:block;width:auto}.facts td{border:0;padding-top:0}
.wide tr:first-child{display:none}.wide tr{display:flex;flex-wrap:wrap;border-top:1px solid var(--line)}
.wide td{border:0}.wide td:last-child{flex-basis:100%}
}
@media print{
body{margin:0;max-width:none;font-size:11px}
summary,.log,tr,.problem,.stack{break-inside:avoid}h2,.axis,.problem{break-after:avoid}
.bar,.bar rect,pre{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""


def document(title: str, heading: str, about: str, body: str) -> str:
    """Make a page. about and body: HTML; title and heading: text."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{text(heading)}</h1>
<p class="sub">{about}</p>
{body}
<footer>Times are UTC. Written by rtp.</footer>
</body>
</html>
"""


def text(plain_text: str) -> str:
    """Escape text for HTML. Control characters, which browsers drop or obey, are shown as escapes."""
    return escape(printable(plain_text, newlines=True))


def section(title: str, body: str) -> str:
    """A part of a page with its heading."""
    return f"<h2>{text(title)}</h2>\n{body}"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names with their values, in HTML."""
    cells = "".join(f"<tr><th>{text(name)}</th><td>{value}</td></tr>" for name, value in rows)
    return f'<table class="facts">{cells}</table>' if cells else ""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table. rows: HTML."""
    top = "".join(f"<th>{text(title)}</th>" for title in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def stamp(ms: int) -> str:
    """A time, epoch ms, as `2026-01-31 12:00:00.000`: UTC, since a page is passed on."""
    return times.iso(ms).replace("T", " ").removesuffix("Z")


def moment(ms: object) -> str:
    """A time of a record, epoch ms, with its number, as HTML; text that is none as it is."""
    try:
        number = int(str(ms))
        return f'{stamp(number)} <span class="dim">{number}</span>'
    except (ValueError, OverflowError, OSError):
        return text(str(ms))
