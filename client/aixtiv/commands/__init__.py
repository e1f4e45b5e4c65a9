"""The commands, one module each, loaded when they are called. To add one: its module, and its line here."""

from importlib import import_module
from typing import Final

import click

from aixtiv.commands.group import Group
from aixtiv_protocol import VERSION

# Section of the help -> name -> module:function
COMMANDS: Final = {
    "Sign in": {
        "login": "login:login",
        "callback": "callback:callback",
        "logout": "logout:logout",
        "api-key": "api_key:api_key",
        "account": "account:account",
        "import": "import_:import_",
    },
    "Use": {
        "token": "token:token",
        "refresh": "refresh:refresh",
        "verify": "verify:verify",
        "claude": "claude:claude",
        "exec": "exec:exec_",
        "claude-key": "claude_key:claude_key",
        "ticket": "ticket:ticket",
        "mcp": "mcp:mcp",
        "git-credential": "git_credential:git_credential",
        "kubectl": "kubectl:kubectl",
        "headers": "headers:headers",
        "setup": "setup:setup",
        "completion": "completion:completion",
    },
    "Look": {
        "status": "status:status",
        "accounts": "accounts:accounts",
        "whoami": "whoami:whoami",
        "watch": "watch:watch",
        "metrics": "metrics:metrics",
        "audit": "audit:audit",
        "access": "access:access",
        "usage": "usage:usage",
        "doctor": "doctor:doctor",
    },
    "Daemon": {
        "service": "service:service",
        "lock": "lock:lock",
        "unlock": "unlock:unlock",
        "export": "export:export",
        "restore": "restore:restore",
        "key": "key:key",
        "config": "config:config",
        "reload": "reload:reload",
        "stop": "stop:stop",
    },
}

# Names of the command that this one replaces. They work and are not listed.
OLD: Final = {
    "auth:oauth2-login": "old:login",
    "auth:oauth2-callback": "old:callback",
    "auth:verify": "old:verify",
    "claude:code:generate": "old:generate",
}


class _Lazy(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        known = {name: at for section in COMMANDS.values() for name, at in section.items()} | OLD
        if cmd_name not in known:
            if ":" in cmd_name:
                return _load("old:gone")
            return None
        return _load(known[cmd_name])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, _load(at).get_short_help_str(60)) for name, at in section.items()])


def _load(at: str) -> click.Command:
    module, _, name = at.partition(":")
    command = getattr(import_module(f"aixtiv.commands.{module}"), name)
    assert isinstance(command, click.Command)
    return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="aixtiv %(version)s")
def aixtiv() -> None:
    """Ask the local daemon that owns your OAuth credentials.

    Sign in once with `aixtiv login NAME`; from then on `aixtiv token NAME` prints a token that works. NAME is whatever
    you call the account: github, anthropic/work. Left out, AIXTIV_ACCOUNT says it, then `.aixtiv.toml` in this folder
    or above it, then the daemon's default.

    Exit status: 0 fine, 1 refused, 2 no daemon, 3 sign-in needed, 4 provider or API unreachable, 5 answered by the
    offline template, 6 locked, 64 usage; `exec` gives its command's.
    """
