"""A setup is done and undone to the byte: also when the person edits in between, and when it is cut short."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aixtiv import ports
from aixtiv.failures import AixtivError
from aixtiv.setup import diff, files, jsontext, port, record
from aixtiv.setup.goal import Broken, Goal, put_toml, with_lines
from aixtiv.setup.record import Record
from aixtiv_protocol import replies

TICKET = "aixtiv-ticket-" + "t" * 43


@pytest.fixture(autouse=True)
def state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setattr("platformdirs.user_state_dir", lambda name: str(folder / "state" / name))
    return folder / "state/aixtiv"


def settings(path: Path, value: str = "ours") -> Goal:
    def edit(text: str) -> str:
        text = jsontext.put(text if text.strip() else "{}\n", ("helper",), value)
        return jsontext.put(text, ("env", "URL"), value)

    return Goal(path, "json", edit, (("helper",), ("env", "URL")))


def config(path: Path) -> Goal:
    return Goal(path, "toml", lambda text: put_toml(text, ("claude", "port"), 4000), (("claude", "port"),))


def profile(path: Path) -> Goal:
    return Goal(path, "lines", lambda text: with_lines(text, "export A=1"))


def whole(path: Path) -> Goal:
    return Goal(path, "whole", lambda _: f"export T={TICKET}\n", mode=0o600)


def done(*goals: Goal) -> Record:
    kept = record.load("it")
    record.apply(kept, record.pending(goals, kept))
    return record.load("it")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


BEFORE: list[tuple[Callable[[Path], Goal], bytes]] = [
    (settings, b'{"helper": "theirs", "list": [1, 2],\n "n": 1.0}'),
    (settings, b'{\n\t"env": {"URL": "theirs", "Z": ""}\n}\n'),
    (settings, b"{}"),
    (config, b"# mine\n[network] # why\nproxy = ''\n"),
    (config, b"[claude]\naccount = 'work' # pays\nport = 1 # as ever\n"),
    (profile, b"alias l='ls'\n# no newline at the end"),
    (whole, b"something of theirs\n"),
]


@pytest.mark.parametrize(("goal", "before"), BEFORE)
def test_undo_puts_back_every_byte(folder: Path, goal: Callable[[Path], Goal], before: bytes) -> None:
    path = folder / "home/file"
    path.parent.mkdir()
    path.write_bytes(before)
    path.chmod(0o640)
    was = snapshot(folder)
    kept = done(goal(path))
    assert path.read_bytes() != before
    assert record.undo(kept) == []
    assert snapshot(folder / "home") == {path: data for path, data in was.items() if "/home/" in path}
    assert not (folder / "state/aixtiv/setup").exists()


@pytest.mark.parametrize("goal", [settings, config, profile, whole])
def test_files_and_folders_that_were_not_there_are_gone_again(folder: Path, goal: Callable[[Path], Goal]) -> None:
    path = folder / "home/a/b/file"
    kept = done(goal(path))
    assert path.exists()
    record.undo(kept)
    assert not (folder / "home").exists()


def test_what_the_person_changed_since_stays_and_only_ours_goes(folder: Path) -> None:
    path = folder / "settings.json"
    path.write_text('{"env": {"URL": "theirs"}}')
    kept = done(settings(path))
    path.write_text(jsontext.put(path.read_text(), ("model",), "opus"))
    told = record.undo(kept)
    assert json.loads(path.read_text()) == {"env": {"URL": "theirs"}, "model": "opus"}
    assert [said.sentence for said in told] == ["was changed since; only what aixtiv had put there was taken out"]


def test_a_value_of_ours_that_the_person_has_changed_is_theirs(folder: Path) -> None:
    path = folder / "settings.json"
    path.write_text("{}")
    kept = done(settings(path))
    path.write_text('{"helper": "another", "env": {"URL": "ours"}}')
    record.undo(kept)
    assert json.loads(path.read_text()) == {"helper": "another"}


def test_an_edited_config_and_profile_lose_only_our_lines(folder: Path) -> None:
    toml, shell = folder / "config.toml", folder / ".bashrc"
    shell.write_text("alias l=ls\n")
    kept = done(config(toml), profile(shell))
    toml.write_text(toml.read_text() + "fallback = 'none' # mine\n")
    shell.write_text(shell.read_text() + "alias m=more\n")
    record.undo(kept)
    assert toml.read_text() == "[claude]\nfallback = 'none' # mine\n"
    assert shell.read_text() == "alias l=ls\nalias m=more\n"


def test_a_file_that_the_person_took_away_stays_away(folder: Path) -> None:
    path = folder / "settings.json"
    path.write_text("{}")
    kept = done(settings(path))
    path.unlink()
    record.undo(kept)
    assert not path.exists()


def test_a_file_that_is_broken_by_now_is_left_and_said(folder: Path) -> None:
    path = folder / "settings.json"
    path.write_text("{}")
    kept = done(settings(path))
    path.write_text("{ not any more")
    told = record.undo(kept)
    assert path.read_text() == "{ not any more"
    assert "cannot be understood any more" in told[0].sentence


@pytest.mark.parametrize("writes", range(7))
def test_whatever_it_was_cut_short_at_undo_brings_everything_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Cut short behind the first, second, … file written: copies, record and targets."""
    one, two, three = folder / "home/one", folder / "home/two", folder / "home/new"
    one.parent.mkdir()
    one.write_text('{"a": 1}')
    two.write_text("alias l=ls\n")
    was = snapshot(folder / "home")
    real, count = files.write, iter(range(100))

    def write(path: Path, data: bytes, *, mode: int | None = None) -> None:
        if next(count) >= writes:
            raise KeyboardInterrupt
        real(path, data, mode=mode)

    monkeypatch.setattr(files, "write", write)
    if writes < 6:
        with pytest.raises(KeyboardInterrupt):
            done(settings(one), profile(two), whole(three))
    else:
        done(settings(one), profile(two), whole(three))
    monkeypatch.setattr(files, "write", real)
    record.undo(record.load("it"))
    assert snapshot(folder / "home") == was
    assert not (folder / "state/aixtiv/setup").exists()


def test_a_setup_over_a_setup_is_undone_to_the_beginning(folder: Path) -> None:
    path, other = folder / "settings.json", folder / ".profile"
    path.write_text('{"helper": "theirs"}')
    done(settings(path, "first"), profile(other))
    kept = done(settings(path, "second"))
    assert json.loads(path.read_text())["helper"] == "second"
    assert not other.exists()  # the second has no use for it
    record.undo(kept)
    assert path.read_text() == '{"helper": "theirs"}'


def test_a_second_setup_that_was_cut_short_is_undone_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "settings.json"
    path.write_text("{}")
    done(settings(path, "first"))
    real = files.write

    def write(target: Path, data: bytes, *, mode: int | None = None) -> None:
        if target == path:
            raise KeyboardInterrupt
        real(target, data, mode=mode)

    monkeypatch.setattr(files, "write", write)
    with pytest.raises(KeyboardInterrupt):
        done(settings(path, "second"))
    monkeypatch.setattr(files, "write", real)
    record.undo(record.load("it"))
    assert path.read_text() == "{}"


def test_the_record_holds_no_secret_of_ours(folder: Path, state: Path) -> None:
    def edit(text: str) -> str:
        return jsontext.put(text or "{}", ("access_token",), TICKET)

    done(Goal(folder / "credentials.json", "json", edit, (("access_token",),)), whole(folder / "env.sh"))
    kept = b"".join(path.read_bytes() for path in (state / "setup").rglob("*") if path.is_file())
    assert kept
    assert TICKET.encode() not in kept


def test_a_broken_file_is_refused_with_its_name_and_line(folder: Path) -> None:
    path = folder / "settings.json"
    path.write_text('{\n  "a": 1\n  "b": 2\n}\n')
    with pytest.raises(Broken, match=r"settings\.json: line 3: ") as refused:
        record.pending((settings(path),), Record("it"))
    assert refused.value.hint == f"$EDITOR {path}"


def test_the_diff_shows_no_secret_that_stands_near(folder: Path) -> None:
    path = folder / "settings.json"
    key = "sk-ant-api03-made-up"
    path.write_text(f'{{\n  "env": {{"MY_SECRET": "hush", "X": "{key}"}},\n  "token": "abc"\n}}\n')
    shown = "\n".join(diff.lines(record.pending((settings(path),), Record("it"))))
    assert '+  "helper": "ours"' in shown
    assert key not in shown
    assert "hush" not in shown
    assert "abc" not in shown


def test_the_first_free_port_is_chosen_and_a_configured_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = ports.Refusal(taken=True, absent=False, sentence="address already in use")
    monkeypatch.setattr(ports, "refusal", lambda _, number: taken if number == port.FIRST else None)
    status = replies.DaemonStatus(version="1", pid=1, started_at=1, locked=False)
    assert port.choose(0, {}, status) == port.FIRST + 1
    assert port.choose(0, {"claude": {"port": 5000}}, status) == 5000
    assert port.choose(6000, {"claude": {"port": 5000}}, status) == 6000
    with pytest.raises(AixtivError, match=f"port {port.FIRST} cannot be used"):
        port.choose(port.FIRST, {}, status)
    monkeypatch.setattr(ports, "refusal", lambda *_: taken)
    with pytest.raises(AixtivError, match="none of the ports"):
        port.choose(0, {}, status)
