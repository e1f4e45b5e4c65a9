"""The page a person's browser ends at: one self-contained document, nothing loaded from anywhere."""

import base64
import hashlib
import html
from typing import Final

from msgspec import Struct


class Page(Struct, frozen=True):
    """What to say. `command`: the next one to type."""

    title: str
    sentence: str
    ok: bool
    command: str = ""


_STYLE: Final = """
:root{color-scheme:light dark;--ground:#f6f5f2;--card:#fff;--ink:#1d1c1a;--soft:#5c5954;--line:#e2dfd8;--mark:#1a7f4b}
.failed{--mark:#b3261e}
@media (prefers-color-scheme:dark){
:root{--ground:#171614;--card:#211f1d;--ink:#f1efea;--soft:#b3aea5;--line:#3a3733;--mark:#5fd097}
.failed{--mark:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);color:var(--ink);
font:1.0625rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:32rem;width:100%;padding:2.25rem;background:var(--card);border:1px solid var(--line);
border-top:.3rem solid var(--mark);border-radius:.75rem;overflow-wrap:anywhere}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}
h1 span{color:var(--mark);margin-right:.5rem}
p{margin:.75rem 0 0}
.soft{color:var(--soft);font-size:.9375rem}
code{display:inline-block;padding:.15rem .5rem;background:var(--ground);border:1px solid var(--line);
border-radius:.35rem;font:.95em ui-monospace,Menlo,"DejaVu Sans Mono",monospace}
code span{display:inline-block;max-width:100%}
footer{margin-top:1.75rem;color:var(--soft);font-size:.8125rem}
"""

_DOCUMENT: Final = """<!doctype html>
<html lang="en"{state}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title} · aixtiv</title>
<style>{style}</style>
</head>
<body>
<main role="{role}">
<h1><span aria-hidden="true">{mark}</span>{title}</h1>
<p>{sentence}</p>
{command}<p class="soft">{closing}</p>
<footer>aixtiv, on this machine</footer>
</main>
</body>
</html>
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # the address in the bar holds the code
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def render(page: Page) -> bytes:
    """HTML in UTF-8. Every text is escaped: some of it is a provider's."""
    words = " ".join(
        f"<span>{html.escape(word)}</span>" for word in page.command.split()
    )  # none is broken at its hyphens
    command = f"<p>Next: <code>{words}</code></p>\n" if page.command else ""
    closing = "You can close this window." if page.ok else "Nothing that was there before has changed."
    return _DOCUMENT.format(
        state="" if page.ok else ' class="failed"',
        style=_STYLE,
        role="status" if page.ok else "alert",
        mark="✓" if page.ok else "✕",
        title=html.escape(page.title),
        sentence=html.escape(page.sentence),
        command=command,
        closing=closing,
    ).encode("utf-8", errors="replace")
