"""How to run into each failure there is: a function for each code, on a real daemon where one is needed."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import msgspec

from aixtiv import backup, claude, failures, filed
from aixtiv.connection import Connection
from aixtiv.setup import files, goal
from aixtiv_protocol import codec, replies, requests
from aixtivd.ipc.limits import Limits
from docs.scene import QUIET, Scene, raised, told
from peers import person
from peers.authority.weather import hanging, says, unavailable
from peers.held import Caller, serving
from peers.machine import PATIENCE, SCRIPTS, Machine, Ran
from peers.scripted import ScriptedDaemon

_KEY: Final = "sk-ant-api03-of-the-docs-0123456789\n"
_NOBODY: Final = "http://127.0.0.1:1"  # where nobody listens


# ---- what the daemon says


def bad_request(scene: Scene) -> failures.AixtivError:
    return _raw(scene, b'{"op":"teleport"}\n')


def too_large(scene: Scene) -> failures.AixtivError:
    return _raw(scene, b'{"op":"' + b"x" * codec.FRAME_CAP)


def _raw(scene: Scene, data: bytes) -> failures.AixtivError:
    with scene.machine.conversation() as talk:
        talk._peer.sendall(data)
        line = talk._peer.makefile().readline()
    return failures.raised(msgspec.json.decode(line, type=replies.Failure))


def busy(scene: Scene) -> failures.AixtivError:
    async def one_too_many() -> object:
        async with serving(scene.spare, Limits(connections=1)) as side, await side.caller() as first:
            first.say(requests.Hello())
            await first.hear()
            async with await side.caller() as second:
                return await _answer(second, requests.Hello())

    return raised(asyncio.run(one_too_many()))  # type: ignore[arg-type]  # `raised` looks


def internal(scene: Scene) -> failures.AixtivError:
    async def a_defect() -> object:
        async with serving(scene.spare) as side, await side.caller() as caller:
            return await _answer(caller, requests.Token(account="broken"))

    return raised(asyncio.run(a_defect()))  # type: ignore[arg-type]  # `raised` looks


async def _answer(caller: Caller, asked: requests.Request) -> object:
    caller.say(asked)
    return await caller.hear()


def denied(scene: Scene) -> failures.AixtivError:
    name = scene.signed_in("github")
    with scene.configured(f'[[rule]]\naccounts = ["{name}"]\nallow = ["list"]\n'):
        return scene.asked(requests.Token(account=name))


def locked(scene: Scene) -> failures.AixtivError:
    with scene.locked():
        return scene.asked(requests.Token(account="github"))


def key_failed(scene: Scene) -> failures.AixtivError:
    key = scene.machine.state / "key"
    with scene.locked():
        away = key.rename(key.with_name("elsewhere"))
        try:
            return scene.asked(requests.Unlock())
        finally:
            away.rename(key)


def store_failed(scene: Scene) -> failures.AixtivError:
    store = scene.machine.state / "store.db"
    with scene.locked():
        away = store.rename(store.with_name("elsewhere"))
        store.write_text("a note that was saved in the wrong place\n" * 20)
        store.chmod(0o600)
        try:
            return scene.asked(requests.Unlock())
        finally:
            away.replace(store)


def no_account(scene: Scene) -> failures.AixtivError:
    scene.signed_in("github")
    return scene.asked(requests.Token(account="githup"))


def no_provider(scene: Scene) -> failures.AixtivError:
    return scene.asked(requests.Login(account="work"))


def sign_in_needed(scene: Scene) -> failures.AixtivError:
    name = scene.signed_in("ended")
    scene.server.set_weather(says("invalid_grant", description="grant was revoked"))
    return scene.asked(requests.Refresh(account=name))


def sign_in_failed(scene: Scene) -> failures.AixtivError:
    with scene.machine.conversation() as talk:
        talk.say(scene.server.login("work"))
        started = talk.hear()
        assert isinstance(started, replies.SignInStarted), started
        person.visit(started.url, refuse=True)
        return raised(talk.hear())


def scope_missing(scene: Scene) -> failures.AixtivError:
    return scene.asked(requests.Token(account=scene.signed_in("github"), scopes=("payments",)))


def unreachable(scene: Scene) -> failures.AixtivError:
    name = scene.signed_in("later")
    scene.server.set_weather(unavailable())
    return scene.asked(requests.Refresh(account=name))


def refused(scene: Scene) -> failures.AixtivError:
    name = scene.signed_in("suspended")
    scene.server.set_weather(says("access_denied", description="the account is suspended"))
    return scene.asked(requests.Refresh(account=name))


def misconfigured(scene: Scene) -> failures.AixtivError:
    name = scene.signed_in("deleted")
    scene.server.set_weather(says("invalid_client", status=401, description="client is unknown"))
    return scene.asked(requests.Refresh(account=name))


def timeout(scene: Scene) -> failures.AixtivError:
    name = scene.signed_in("slow")
    scene.server.set_weather(hanging())
    try:
        return scene.asked(requests.Refresh(account=name, wait=0.2))
    finally:
        scene.server.release()


def bad_config(scene: Scene) -> failures.AixtivError:
    scene.machine.configure(f'{QUIET}[networ]\nproxy = "http://127.0.0.1:3128"\n')
    try:
        return scene.asked(requests.Reload())
    finally:
        scene.machine.configure(QUIET)


# ---- what the command and the library say


def usage(scene: Scene) -> failures.AixtivError:
    return told(scene.machine.run("token", "--min-tll", "60"), failures.Usage)


def unread(scene: Scene) -> failures.AixtivError:
    inner, outer = os.pipe()
    os.close(inner)
    try:
        return told(_into(scene, outer, "accounts"), failures.Unread)
    finally:
        os.close(outer)


def unwritable(scene: Scene) -> failures.AixtivError:
    with Path("/dev/full").open("w") as full:
        return told(_into(scene, full.fileno(), "accounts"), failures.Unwritable)


def _into(scene: Scene, stdout: int, *arguments: str) -> Ran:
    scene.signed_in("github")
    ran = subprocess.run(
        [SCRIPTS / "aixtiv", *arguments],
        env=scene.machine.environ,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ran("", ran.stderr, ran.returncode)


def no_daemon(scene: Scene) -> failures.AixtivError:
    return told(Machine(scene.spare).run("status", "--no-start"), failures.NotRunning)


def no_answer(scene: Scene) -> failures.AixtivError:
    with ScriptedDaemon(scene.spare, lambda _: ()) as daemon, Connection(str(daemon.path)) as connection:
        connection.send(requests.Hello())
        return _caught(lambda: connection.receive(0.1))


def untrusted(scene: Scene) -> failures.AixtivError:
    path = scene.spare / "aixtiv" / "aixtiv.sock"
    path.parent.mkdir()
    path.parent.chmod(0o777)
    return _caught(lambda: Connection(str(path)))


def _caught(act: Callable[[], object]) -> failures.AixtivError:
    try:
        act()
    except failures.AixtivError as failure:
        return failure
    raise AssertionError("nothing was wrong")


def offline(scene: Scene) -> failures.AixtivError:
    scene.machine.run("api-key", "set", "anthropic", "--endpoint", _NOBODY, stdin=_KEY)
    return told(scene.machine.run("claude", "code", "generate", "-l", "go", "sort lines"), failures.Offline)


def not_runnable(scene: Scene) -> failures.AixtivError:
    return told(_exec(scene, "/etc/passwd"), failures.NotRunnable)


def no_command(scene: Scene) -> failures.AixtivError:
    return told(_exec(scene, "claud"), failures.NoCommand)


def _exec(scene: Scene, command: str) -> Ran:
    return scene.machine.run("exec", scene.signed_in("github"), "--", command)


def not_claude(scene: Scene) -> failures.AixtivError:
    return _asking(scene, "text/html", b"<h1>Welcome to Hotel Wi-Fi</h1>", claude.NotClaude)


def broken(scene: Scene) -> failures.AixtivError:
    return _asking(scene, "text/event-stream", b"event: ping\ndata: {}\n\n", claude.Broken)


def _asking(scene: Scene, kind: str, body: bytes, ends: type[failures.AixtivError]) -> failures.AixtivError:
    """`claude ask`, with a server that answers so in Claude's place."""
    with _in_claudes_place(kind, body) as url:
        name = f"anthropic/{ends.code}"
        scene.machine.run("api-key", "set", name, "--endpoint", url, stdin=_KEY)
        return told(scene.machine.run("claude", "ask", "--account", name, "hello"), ends)


@contextmanager
def _in_claudes_place(kind: str, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(PATIENCE)


def bad_backup(scene: Scene) -> failures.AixtivError:
    (scene.machine.home / "notes.txt").write_text("no backup " * 20)
    return told(scene.machine.run("restore", "notes.txt"), backup.Unusable)


def bad_settings(scene: Scene) -> failures.AixtivError:
    old = scene.machine.home / ".config/aixtiv/api-config.json"
    old.write_text('{"claude": }')
    try:
        return told(scene.machine.run("claude", "ask", "hello"), filed.Misread)
    finally:
        old.unlink()


def broken_file(scene: Scene) -> failures.AixtivError:
    return _setting_up(scene, lambda settings: settings.write_text('{"env": }'), goal.Broken)


def unfit_file(scene: Scene) -> failures.AixtivError:
    return _setting_up(scene, lambda settings: settings.symlink_to("/etc/passwd"), files.Unfit)


def _setting_up(scene: Scene, make: Callable[[Path], object], kind: type[failures.AixtivError]) -> failures.AixtivError:
    settings = scene.machine.home / ".claude/settings.json"
    settings.parent.mkdir(exist_ok=True)
    make(settings)
    scene.machine.run("api-key", "set", "anthropic", stdin=_KEY)
    try:
        return told(scene.machine.run("setup", "claude-code", "--yes", "--account", "anthropic"), kind)
    finally:
        settings.unlink()


PROVOKED: Final[dict[str, Callable[[Scene], failures.AixtivError]]] = {
    function.__name__: function
    for function in (
        bad_backup,
        bad_config,
        bad_request,
        bad_settings,
        broken,
        broken_file,
        busy,
        denied,
        internal,
        key_failed,
        locked,
        misconfigured,
        no_account,
        no_answer,
        no_command,
        no_daemon,
        no_provider,
        not_claude,
        not_runnable,
        offline,
        refused,
        scope_missing,
        sign_in_failed,
        sign_in_needed,
        store_failed,
        timeout,
        too_large,
        unreachable,
        unfit_file,
        unread,
        untrusted,
        unwritable,
        usage,
    )
}
