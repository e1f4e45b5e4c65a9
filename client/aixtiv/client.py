"""The typed, blocking library: one method for each request, an exception class for each thing to do about a failure."""

from collections.abc import Iterator
from typing import Final, Literal

from msgspec.structs import replace

from aixtiv import failures
from aixtiv.relayed import Body, Relayed
from aixtiv.stream import Stream, expected
from aixtiv.talking import GRACE, Talking
from aixtiv_protocol import VERSION, replies, requests
from aixtiv_protocol.secret import Secret

LONG: Final = 120.0  # seconds for what has no `wait`: a code exchange, a revocation, a pause for open refreshes


class Client(Talking):
    """A conversation with the daemon. Connects when first needed. Not for several threads at once.

        with aixtiv.Client() as client:
            token = client.token("github", min_ttl=300).access_token.reveal()

    Every method raises AixtivError or a class below it: `code`, `sentence`, `hint` (a command to type), `retry`.
    `path`: the socket, where it is not the usual one. `start`: start the daemon where it is not running.
    `say` is told, in a sentence, when that is done. `agent`: the calling agent's id, for the daemon's audit log.
    """

    def hello(self) -> replies.Welcome:
        return self._ask(requests.Hello(client=VERSION, agent=self._agent), replies.Welcome)

    def token(
        self,
        account: str = "",
        *,
        min_ttl: int = 0,
        wait: float = 30.0,
        scopes: tuple[str, ...] = (),
        ticket: str | Secret | None = None,
    ) -> replies.AccessToken:
        """An access token with at least `min_ttl` seconds of life; waits up to `wait` seconds for a refresh.

        `ticket`: one made with the verb `token`; then its account counts.
        """
        asked = requests.Token(
            account=account, min_ttl=min_ttl, wait=wait, scopes=scopes, ticket=_secret(ticket), agent=self._agent
        )
        return self._ask(asked, replies.AccessToken, seconds=wait + GRACE)

    def host_token(
        self,
        url: str,
        account: str = "",
        *,
        username: str = "",
        kind: Literal["access", "id"] = "access",
        min_ttl: int = 0,
        wait: float = 30.0,
        rejected: str | Secret | None = None,
    ) -> replies.HostToken:
        """A token for a tool that goes to `url`, from the account whose `hosts` in the config name it.

        `rejected`: one that the host did not take; if it is still the current one, it is refreshed first.
        """
        asked = requests.HostToken(
            url=url,
            account=account,
            username=username,
            kind=kind,
            min_ttl=min_ttl,
            wait=wait,
            rejected=_secret(rejected),
            agent=self._agent,
        )
        return self._ask(asked, replies.HostToken, seconds=wait + GRACE)

    def accounts(self) -> tuple[replies.Account, ...]:
        """All of them, by name, in as many answers as it takes."""
        return tuple(self._accounts_behind(""))

    def _accounts_behind(self, name: str) -> Iterator[replies.Account]:
        more = True
        while more:
            page = self._ask(requests.Accounts(after=name, agent=self._agent), replies.AccountList)
            yield from page.accounts
            more = page.more and bool(page.accounts)
            name = page.accounts[-1].name if page.accounts else ""

    def status(self) -> replies.DaemonStatus:
        """With all the accounts, in as many answers as it takes."""
        found = self._ask(requests.Status(agent=self._agent), replies.DaemonStatus)
        if not found.more or not found.accounts:
            return found
        rest = self._accounts_behind(found.accounts[-1].name)
        return replace(found, accounts=(*found.accounts, *rest), more=False)

    def login(  # noqa: PLR0913  # the request has as many fields
        self,
        account: str = "",
        *,
        provider: str = "",
        settings: requests.ClientSettings | None = None,
        scopes: tuple[str, ...] = (),
        port: int = 0,
        replace: bool = False,
        source: requests.Source | None = None,
        endpoint: str = "",
        device: requests.Device = "",
    ) -> Stream[replies.SignInStarted | replies.SignedIn]:
        """Starts or joins a sign-in: SignInStarted (send the person to its `url`), then SignedIn.

        With a `source`, or an account that has one, only SignedIn. `endpoint`: origin of the API it is relayed to.
        """
        asked = requests.Login(
            account=account,
            provider=provider,
            settings=settings or requests.ClientSettings(),
            scopes=scopes,
            port=port,
            replace=replace,
            source=source,
            endpoint=endpoint,
            device=device,
            agent=self._agent,
        )
        return self._stream(asked, (replies.SignInStarted, replies.SignedIn))

    def adopt(
        self,
        refresh_token: str,
        account: str = "",
        *,
        provider: str = "",
        settings: requests.ClientSettings | None = None,
        scopes: tuple[str, ...] = (),
        replace: bool = False,
    ) -> replies.SignedIn:
        """Makes a refresh token from elsewhere the account's. It is refreshed at once."""
        asked = requests.Adopt(
            refresh_token=Secret(refresh_token),
            account=account,
            provider=provider,
            settings=settings or requests.ClientSettings(),
            scopes=scopes,
            replace=replace,
            agent=self._agent,
        )
        return self._ask(asked, replies.SignedIn, seconds=LONG)

    def callback(self, pasted: str, account: str = "") -> replies.Account:
        """Finishes a sign-in with the pasted redirect URL, `code#state` or code."""
        asked = requests.Callback(pasted=Secret(pasted), account=account, agent=self._agent)
        return self._ask(asked, replies.SignedIn, seconds=LONG).account

    def refresh(self, account: str = "", *, wait: float = 30.0) -> replies.Account:
        asked = requests.Refresh(account=account, wait=wait, agent=self._agent)
        return self._ask(asked, replies.Account, seconds=wait + GRACE)

    def logout(self, account: str = "") -> replies.LoggedOut:
        return self._ask(requests.Logout(account=account, agent=self._agent), replies.LoggedOut, seconds=LONG)

    def verify(self, account: str = "", *, wait: float = 30.0) -> replies.Verified:
        asked = requests.Verify(account=account, wait=wait, agent=self._agent)
        return self._ask(asked, replies.Verified, seconds=wait + GRACE)

    def rename(self, account: str, to: str) -> replies.AccountChanged:
        asked = requests.Rename(account=account, to=to, agent=self._agent)
        return self._ask(asked, replies.AccountChanged, seconds=LONG)

    def generations(self, account: str = "") -> tuple[replies.Generation, ...]:
        """Newest first; the first is the one that counts."""
        asked = requests.Generations(account=account, agent=self._agent)
        return self._ask(asked, replies.GenerationList).generations

    def reinstate(self, account: str = "", generation: int = 0, *, anyway: bool = False) -> replies.AccountChanged:
        """An earlier generation becomes the newest, and is tried; 0: the newest that is kept.

        `anyway`: also a spent one, where its provider ends the whole sign-in for that.
        """
        asked = requests.Reinstate(account=account, generation=generation, anyway=anyway, agent=self._agent)
        return self._ask(asked, replies.AccountChanged, seconds=LONG)

    def set_api_key(self, account: str, key: str, endpoint: str = "") -> replies.Account:
        """`endpoint`: origin of the API that it is for, where that is not the provider's own."""
        asked = requests.ApiKey(account=account, key=Secret(key), endpoint=endpoint, agent=self._agent)
        return self._ask(asked, replies.Account, seconds=LONG)  # it lets an open refresh finish first

    def remove_api_key(self, account: str = "") -> replies.Account | replies.LoggedOut:
        """LoggedOut: nothing is left of the account. Account: its sign-in, which remains."""
        asked = requests.ApiKey(account=account, agent=self._agent)
        kinds: tuple[type[replies.Account | replies.LoggedOut], ...] = (replies.Account, replies.LoggedOut)
        return self._ask(asked, *kinds, seconds=LONG)

    def relay(  # noqa: PLR0913  # the request has as many fields
        self,
        path: str,
        *,
        method: str = "GET",
        account: str = "",
        headers: requests.Headers = (),
        body: Body = None,
        api_key: str | Secret | None = None,
        ticket: str | Secret | None = None,
        endpoint: str = "",
        fallback: Literal["", "api-key", "none"] = "",
        wait: float = 30.0,
        first_byte: float | None = None,
    ) -> Relayed:
        """Calls `path` of the account's API with its credential, and returns when the answer begins.

        `body`: bytes, a file, or anything that gives bytes; it is sent as it is read. `api_key`: the caller's own,
        where there is no token. `ticket`: then its account counts. `wait`: seconds for a credential; `first_byte`: for
        the answer to begin (None: as long as the daemon waits). Raises Unreachable where it does not.
        """
        asked = requests.Relay(
            path=path,
            method=method,
            account=account,
            headers=headers,
            api_key=_secret(api_key),
            ticket=_secret(ticket),
            endpoint=endpoint,
            fallback=fallback,
            wait=wait if first_byte is None else min(wait, first_byte),
            agent=self._agent,
        )
        told = self._hello(), self._welcomed
        try:
            return Relayed(self._connect(), asked, body, first_byte, *told)
        except failures.NotHeard:  # as in `_ask`; of a larger body, a part may have been heard, and sent on
            if not (body is None or (isinstance(body, bytes) and len(body) <= requests.PIECE)):
                raise
        return Relayed(self._connect(), asked, body, first_byte, *told)

    def ticket(
        self,
        account: str = "",
        *,
        verbs: tuple[requests.Verb, ...] = ("relay",),
        ttl: int = 0,
        holder: Literal["caller", "parent", "none"] = "caller",
        name: str = "",
        port: bool = False,
    ) -> replies.TicketMade:
        """A local capability for `account`, which dies with its holder. `port`: a loopback port of its own with it."""
        asked = requests.Ticket(
            account=account, verbs=verbs, ttl=ttl, holder=holder, name=name, port=port, agent=self._agent
        )
        return self._ask(asked, replies.TicketMade, seconds=LONG)

    def tickets(self) -> tuple[replies.TicketShown, ...]:
        """All of them, oldest first, in as many answers as it takes."""
        page = self._ask(requests.Tickets(agent=self._agent), replies.TicketList)
        found = list(page.tickets)
        while page.more and page.tickets:
            page = self._ask(requests.Tickets(after=page.tickets[-1].id, agent=self._agent), replies.TicketList)
            found += page.tickets
        return tuple(sorted(found, key=lambda ticket: ticket.made_at))

    def revoke_ticket(self, word: str) -> replies.Done:
        """Ends the ticket with that id or, failing that, those with that name."""
        return self._ask(requests.RevokeTicket(ticket=word, agent=self._agent), replies.Done, seconds=LONG)

    def audit(self, limit: int = 100, account: str = "", *, follow: bool = False) -> Stream[replies.AuditRecord]:
        """The newest records, oldest first; 0: all. `follow`: and then whatever happens."""
        asked = requests.Audit(limit=limit, account=account, follow=follow, agent=self._agent)
        return self._stream(asked, (replies.AuditRecord,))

    def audit_verify(self) -> replies.AuditVerdict:
        return self._ask(requests.Audit(verify=True, agent=self._agent), replies.AuditVerdict, seconds=LONG)

    def audit_new(self) -> replies.Done:
        """Puts the audit log aside, and begins another."""
        return self._ask(requests.Audit(new=True, agent=self._agent), replies.Done, seconds=LONG)

    def usage(self, since: int = 0) -> replies.UsageReport:
        """What was relayed, by account and caller, since that Unix time."""
        return self._ask(requests.Usage(since=since, agent=self._agent), replies.UsageReport, seconds=LONG)

    def examine(self, account: str = "") -> replies.Examined:
        return self._ask(requests.Examine(account=account, agent=self._agent), replies.Examined, seconds=LONG)

    def watch(self) -> Stream[replies.Event]:
        """Events as they happen, until it is closed or the daemon ends (NoDaemon)."""
        return self._stream(requests.Watch(agent=self._agent), (replies.Event,))

    def metrics(self, *, accounts: bool = False) -> str:
        """In Prometheus' text format 0.0.4. `accounts`: with a label that names each."""
        return self._ask(requests.Metrics(accounts=accounts, agent=self._agent), replies.Exposition).text

    def explain(self, pid: int = 0, account: str = "", path: str = "") -> replies.Explained:
        """What a process may do, by which rule, and why; 0: this one."""
        asked = requests.Explain(pid=pid, account=account, path=path, agent=self._agent)
        return self._ask(asked, replies.Explained)

    def key_check(self, passphrase: str | None = None) -> replies.KeyChecked:
        asked = requests.KeyCheck(passphrase=_secret(passphrase), agent=self._agent)
        return self._ask(asked, replies.KeyChecked, seconds=LONG)

    def key_rotate(self, passphrase: str | None = None) -> replies.Done:
        asked = requests.KeyRotate(passphrase=_secret(passphrase), agent=self._agent)
        return self._ask(asked, replies.Done, seconds=LONG)

    def key_move(
        self, to: requests.KeySource, *, passphrase: str | None = None, new_passphrase: str | None = None
    ) -> replies.Done:
        """Another key source from now on. `passphrase`: the vault's, where its source is one."""
        old, new = _secret(passphrase), _secret(new_passphrase)
        asked = requests.KeyMove(to=to, passphrase=old, new_passphrase=new, agent=self._agent)
        return self._ask(asked, replies.Done, seconds=LONG)

    def export(self, new_passphrase: str, passphrase: str | None = None) -> Stream[replies.Piece]:
        """A backup of every account, sealed to `new_passphrase`."""
        new, old = Secret(new_passphrase), _secret(passphrase)
        asked = requests.Export(new_passphrase=new, passphrase=old, agent=self._agent)
        return self._stream(asked, (replies.Piece,))

    def restore(self, backup: bytes, passphrase: str, *, replace: bool = False) -> replies.Restored:
        """Accounts from a backup. `replace`: also where there is an account of that name."""
        pieces = [backup[at : at + requests.PIECE] for at in range(0, len(backup), requests.PIECE)] or [b""]
        connection = self._connected()
        rest = pieces[1:]
        asked = requests.Restore(
            passphrase=Secret(passphrase), body=pieces[0], more=bool(rest), replace=replace, agent=self._agent
        )
        try:
            connection.send(asked)
            for at, data in enumerate(rest, 1):
                connection.send(requests.Piece(data=data, more=at < len(rest), agent=self._agent))
            reply = connection.receive(LONG)
        except BaseException:
            self.close()
            raise
        return expected(reply, replies.Restored)

    def lock(self) -> replies.Done:
        return self._ask(requests.Lock(agent=self._agent), replies.Done, seconds=LONG)

    def unlock(self, passphrase: str | None = None) -> replies.Done:
        """Without a passphrase, the vault's own key source is tried again."""
        secret = None if passphrase is None else Secret(passphrase)
        return self._ask(requests.Unlock(passphrase=secret, agent=self._agent), replies.Done, seconds=LONG)

    def reload(self) -> replies.Done:
        return self._ask(requests.Reload(agent=self._agent), replies.Done, seconds=LONG)

    def restart(self) -> replies.Done:
        """The daemon becomes the one that is installed now; no caller is refused meanwhile.

        It goes on answering until what is open has ended: `left` tells when it has.
        """
        return self._ask(requests.Restart(agent=self._agent), replies.Done, seconds=LONG)

    def left(self, within: float) -> bool:
        """Whether the daemon ends this conversation within so many seconds, or has."""
        return self._connection is None or self._connection.stale(within)

    def stop(self) -> replies.Done:
        done = self._ask(requests.Stop(agent=self._agent), replies.Done, seconds=LONG)
        self.close()
        return done


def _secret(text: str | Secret | None) -> Secret | None:
    return Secret(text) if isinstance(text, str) else text
