"""A few lines that stand in for the daemon: one answer to one request, made by the codec, at a real socket."""

import threading
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from aixtiv_protocol import replies, requests
from aixtiv_protocol.codec import Inbox, decode_request, encode_bare, encode_reply
from aixtiv_protocol.secret import Secret

TOKEN = Secret("gho_16C7e42F")


@pytest.fixture
def daemon(folder: Path) -> Iterator[Path]:
    """The socket's path. It knows the account `github`."""
    path = folder / "aixtiv" / "aixtiv.sock"
    path.parent.mkdir(mode=0o700)
    with socket(AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen()
        listening.settimeout(20)
        server = threading.Thread(target=_answer_one, args=(listening,))
        server.start()
        yield path
        server.join()


def _answer_one(listening: socket) -> None:
    connection, _ = listening.accept()
    with connection:
        inbox = Inbox()
        while not (bodies := list(inbox.bodies())):
            inbox.feed(connection.recv(4096))
        mode = inbox.mode or "lines"
        asked = decode_request(bodies[0], mode)
        assert isinstance(asked, requests.Token)
        if asked.account != "github":
            refused = replies.Failure(
                code="no_account", message="there is no account nobody", hint="aixtiv login nobody"
            )
            connection.sendall(encode_reply(refused, mode))
        elif asked.form == "bare":
            connection.sendall(encode_bare(TOKEN, mode))
        else:
            connection.sendall(encode_reply(replies.AccessToken(account="github", access_token=TOKEN), mode))
