"""What can be done with an account: one method for each request about one."""

from collections.abc import AsyncIterator

from aixtiv_protocol import replies, requests


class Accounts:
    """INTERFACE ONLY so far; the bodies are being written."""

    def cached(self, asked: requests.Token) -> replies.AccessToken | None:
        """The hot path, without waiting: a token that is in memory and good enough, else None (then `token` says)."""
        raise NotImplementedError

    async def token(self, asked: requests.Token) -> replies.AccessToken:
        raise NotImplementedError

    def accounts(self) -> replies.AccountList:
        raise NotImplementedError

    def login(self, asked: requests.Login) -> AsyncIterator[replies.SignInStarted | replies.SignedIn]:
        raise NotImplementedError

    async def callback(self, asked: requests.Callback) -> replies.SignedIn:
        raise NotImplementedError

    async def refresh(self, asked: requests.Refresh) -> replies.Account:
        raise NotImplementedError

    async def logout(self, asked: requests.Logout) -> replies.LoggedOut:
        raise NotImplementedError

    async def verify(self, asked: requests.Verify) -> replies.Verified:
        raise NotImplementedError

    async def api_key(self, asked: requests.ApiKey) -> replies.Account | replies.LoggedOut:
        raise NotImplementedError

    def watch(self) -> AsyncIterator[replies.Event]:
        raise NotImplementedError

    async def lock(self) -> None:
        """Lets open refreshes finish, then forgets every key and token. Raises Denied where no key could come back."""
        raise NotImplementedError

    async def unlock(self, asked: requests.Unlock) -> None:
        raise NotImplementedError

    async def drain(self) -> None:
        """Before `stop`: no new refresh begins, open ones finish and are sealed."""
        raise NotImplementedError
