"""What can be asked of whoever looks after the daemon on a machine, and what it says."""

from typing import Protocol

from msgspec import Struct


class State(Struct, frozen=True):
    """How the service is, as its manager says; of the daemon itself only its process."""

    manager: str  # systemd, launchd; empty: none can be asked here
    installed: bool = False
    enabled: bool = False  # it starts at login
    listening: bool = False  # the manager holds its sockets, and starts it for the next caller
    running: bool = False
    pid: int = 0
    since: int = 0
    linger: bool = False  # it runs without a login, too
    files: tuple[str, ...] = ()  # that are there
    differs: tuple[str, ...] = ()  # of those this version writes, the ones that are otherwise or missing
    problem: str = ""  # why it does not run, or cannot be asked, a sentence


class Done(Struct, frozen=True):
    """What was done, a sentence, and what the person should know besides, each with a command or without."""

    note: str
    warnings: tuple[tuple[str, str], ...] = ()


class Manager(Protocol):
    """Each method raises AixtivError with a sentence, and does nothing twice that was done already."""

    name: str

    def install(self, *, linger: bool, headless: bool) -> Done: ...

    def uninstall(self) -> Done: ...

    def start(self) -> Done: ...

    def stop(self) -> Done: ...

    def state(self) -> State: ...

    def log(self, *, lines: int, follow: bool) -> list[str]:
        """The command that shows the log."""
        ...


def faults(state: State, answering: int) -> list[tuple[str, str]]:
    """What is wrong with a service that is installed: sentences, and the commands that mend it.

    `answering`: the process of the daemon that answers; 0: none.
    """
    found = []
    if not state.installed or not state.manager:
        return []
    if state.problem:
        found.append((f"the service is installed and does not run: {state.problem}", "aixtiv service logs"))
    elif not state.running and answering:
        found.append(("the daemon that answers was started beside the service", "aixtiv service start"))
    elif not state.running and not state.listening:
        found.append(("the service is installed and does not run", "aixtiv service start"))
    elif state.running and not answering:
        found.append(("the service runs, and its daemon does not answer", "aixtiv service logs"))
    elif not state.enabled:
        found.append(("the service does not start at login", "aixtiv service install"))
    if state.differs:
        what = "a unit is" if len(state.differs) == 1 else f"{len(state.differs)} units are"
        found.append((f"{what} not as this version writes them", "aixtiv service install"))
    return found
