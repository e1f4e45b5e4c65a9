"""The server's HTML: a form to say who one is, a form to say yes, and a page for what goes wrong. No script."""

from html import escape

DOCUMENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1>
{content}
</body></html>
"""


def login(action: str, abort: str) -> str:
    return DOCUMENT.format(
        title="Sign in",
        content=f"""<form autocomplete="off" action="{escape(action)}" method="post">
<input type="hidden" name="prompt" value="login">
<input required type="text" name="login" placeholder="Enter any login">
<input required type="password" name="password" placeholder="and password">
<button type="submit">Sign-in</button>
</form>
<a href="{escape(abort)}">[ Cancel ]</a>""",
    )


def consent(action: str, abort: str, client_id: str, scopes: tuple[str, ...]) -> str:
    wanted = "".join(f"<li>{escape(scope)}</li>" for scope in scopes)
    return DOCUMENT.format(
        title=f"Authorize {escape(client_id)}",
        content=f"""<ul>{wanted}</ul>
<form autocomplete="off" action="{escape(action)}" method="post">
<input type="hidden" name="prompt" value="consent">
<button autofocus type="submit">Continue</button>
</form>
<a href="{escape(abort)}">[ Cancel ]</a>""",
    )


def failed(error: str, description: str) -> str:
    return DOCUMENT.format(
        title="oops! something went wrong",
        content=f"<pre>error: {escape(error)}\nerror_description: {escape(description)}</pre>",
    )
