"""The voice of the demo: acts, commands with what they printed, and the closing table of what was shown."""

import shlex
import time
from collections.abc import Callable
from typing import Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

WIDTH: Final = 100  # columns: as much as reads well, and as a README can show


class Story:
    """Prints as it happens, and keeps what was claimed and whether it held."""

    def __init__(self) -> None:
        terminal = Console(highlight=False)
        self._console = Console(
            highlight=False, emoji=False, width=min(terminal.width, WIDTH) if terminal.is_terminal else WIDTH
        )
        self._began = time.monotonic()
        self._acts = 0
        self._shown: list[tuple[str, str, bool]] = []

    @property
    def seconds(self) -> float:
        """Since the curtain rose."""
        return time.monotonic() - self._began

    def title(self, text: str, *lines: str) -> None:
        self._console.print()
        self._console.print(Text(text, "bold"))
        for line in lines:
            self._console.print(Text(line, "dim"))

    def act(self, title: str, *lines: str) -> None:
        self._acts += 1
        self._console.print()
        self._console.print(
            Rule(Text(f" {self._acts}. {title} ", "bold cyan"), align="left", characters="─", style="cyan")
        )
        for line in lines:
            self.say(line)

    def say(self, line: str) -> None:
        self._console.print(Padding(Text.from_markup(line), (0, 0, 0, 2), expand=False))

    def typed(self, *words: str) -> None:
        """A command line as a person would type it."""
        self._console.print(Text("  $ ", "green") + Text(shlex.join(words), "bold"), soft_wrap=True)

    def code(self, *lines: str) -> None:
        """A few lines of a program."""
        for line in lines:
            self._console.print(Text(f"  {line}", "bold"), soft_wrap=True)

    def printed(self, output: str) -> None:
        """What a command left on the screen."""
        for line in output.splitlines():
            self._console.print(Text(f"    {line}", "dim"), soft_wrap=True)

    def shows(self, claim: str, evidence: str, *, held: bool) -> None:
        """One line of the closing table. A demo that fails goes on: the table says what did not hold."""
        self._shown.append((claim, evidence, held))
        mark = Text("✓ ", "bold green") if held else Text("✗ ", "bold red")
        self._console.print(Padding(mark + Text(f"{claim}: {evidence}"), (0, 0, 0, 2), expand=False))

    def tries(self, claim: str, scene: Callable[[], None]) -> None:
        """Plays a scene; where it breaks off, that is one more line in the table, and the next scene is played."""
        try:
            scene()
        except Exception as error:  # noqa: BLE001  # whatever it is, the person reads it in the table
            self.shows(claim, f"{type(error).__name__}: {error}", held=False)

    def close(self) -> bool:
        """The table. Whether all of it held."""
        table = Table(box=box.ROUNDED, title_justify="left", expand=True, show_lines=False)
        table.add_column("", width=1)
        table.add_column("what was shown", style="bold", ratio=2)
        table.add_column("how", ratio=3)
        for claim, evidence, held in self._shown:
            table.add_row(Text("✓", "green") if held else Text("✗", "bold red"), Text(claim), Text(evidence))
        self._console.print()
        self._console.print(table)
        failed = sum(not held for _, _, held in self._shown)
        verdict = f"all {len(self._shown)} held" if not failed else f"{failed} of {len(self._shown)} did not hold"
        self._console.print(
            Text(f"{verdict}, in {self.seconds:.0f} seconds", "bold green" if not failed else "bold red")
        )
        return not failed
