"""Shell profiles: which of their lines hold something of ours, and how one is commented out. No value ever shows."""

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixtiv.importing.find import Accounts, Find, Place
from aixtiv.importing.profiles import assignments, look, removable, without
from aixtiv_protocol import replies
from aixtiv_protocol.secret import Secret
from peers import presence

KEY = "sk-ant-api03-of-a-profile-0123456789"
OTHER = "sk-ant-api03-of-another-0123456789"
NOBODY = Accounts((), lambda _, __: False)


def read(line: str, name: str = ".bashrc") -> list[tuple[str, str]]:
    return [(one.place.name, one.value.reveal()) for one in assignments(Path(name), line.encode())]


@pytest.mark.parametrize(
    "line",
    [
        f"export ANTHROPIC_API_KEY={KEY}",
        f"  export ANTHROPIC_API_KEY='{KEY}'  # mine",
        f'ANTHROPIC_API_KEY="{KEY}"',
        f"ANTHROPIC_API_KEY={KEY}; export PATH=/x",
        f"declare -x ANTHROPIC_API_KEY={KEY}",
        f"export ANTHROPIC_API_KEY={KEY};",
        f"export ANTHROPIC_API_KEY={KEY} # it's mine",
        f"ANTHROPIC_API_KEY='{KEY}'; export ANTHROPIC_API_KEY",
        f"ANTHROPIC_API_KEY={KEY}; typeset -x ANTHROPIC_API_KEY; export PATH",
    ],
)
def test_an_assignment_is_read_however_it_is_written(line: str) -> None:
    assert read(line) == [("ANTHROPIC_API_KEY", KEY)]


def test_a_value_is_never_read_in_part() -> None:
    assert read("export MY_OAUTH_CLIENT_SECRET=hush#hush") == [("MY_OAUTH_CLIENT_SECRET", "hush#hush")]
    assert read("set -gx MY_OAUTH_CLIENT_SECRET hush#hush", "config.fish") == [("MY_OAUTH_CLIENT_SECRET", "hush#hush")]


@pytest.mark.parametrize("line", [f"set -gx ANTHROPIC_API_KEY {KEY}", f"set --export -U ANTHROPIC_API_KEY '{KEY}'"])
def test_fish_has_its_own_words(line: str) -> None:
    assert read(line, "config.fish") == [("ANTHROPIC_API_KEY", KEY)]


@pytest.mark.parametrize(
    "line",
    [
        f"# export ANTHROPIC_API_KEY={KEY}",
        "export ANTHROPIC_API_KEY=$(pass show anthropic)",
        "export ANTHROPIC_API_KEY=`pass show anthropic`",
        "export ANTHROPIC_API_KEY=$OTHER",
        "export ANTHROPIC_API_KEY=",
        f"ANTHROPIC_API_KEY={KEY} claude",
        f'alias c="ANTHROPIC_API_KEY={KEY} claude"',
        f"if true; then export ANTHROPIC_API_KEY={KEY}; fi",
        f'export ANTHROPIC_API_KEY="{KEY}',
        f"export NOT_OURS={KEY}",
        f"export ANTHROPIC_API_KEY={KEY} && true",
    ],
)
def test_what_a_shell_would_have_to_be_asked_about_is_left_alone(line: str) -> None:
    assert read(line) == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"if true; then export ANTHROPIC_API_KEY={KEY}; fi", ".bashrc"),
        ("[ -f x ] && export GITLAB_OAUTH_CLIENT_ID=abc", ".bashrc"),
        (f'alias c="ANTHROPIC_API_KEY={KEY} claude"', ".bashrc"),
        (f'export ANTHROPIC_API_KEY="{KEY}', ".bashrc"),
        (f"export ANTHROPIC_API_KEY=${{ANTHROPIC_API_KEY:-{KEY}}}", ".bashrc"),
        (f"test -f x; and set -gx ANTHROPIC_API_KEY {KEY}", ".config/fish/config.fish"),
    ],
)
def test_a_line_that_holds_a_value_and_is_not_understood_is_named(folder: Path, line: str, name: str) -> None:
    write(folder / name, f"\n{line}\n")
    finds, (trouble,) = look({}, folder, NOBODY)
    assert finds == []
    assert f"{name}:2 mentions {'GITLAB_OAUTH_CLIENT_ID' if 'GITLAB' in line else 'ANTHROPIC_API_KEY'}, and" in trouble
    assert KEY not in trouble
    assert "abc" not in trouble


@pytest.mark.parametrize(
    "line",
    [
        f"# export ANTHROPIC_API_KEY={KEY}",
        f"true  # ANTHROPIC_API_KEY={KEY}",
        "export ANTHROPIC_API_KEY=$(pass show anthropic)",
        'export ANTHROPIC_API_KEY="$OTHER"',
        "export ANTHROPIC_API_KEY=",
        "unset ANTHROPIC_API_KEY",
        "ANTHROPIC_API_KEY= claude",
        'if [ -n "$ANTHROPIC_API_KEY" ]; then echo ANTHROPIC_API_KEY is set; fi',
    ],
)
def test_a_line_that_holds_no_value_is_not_spoken_of(folder: Path, line: str) -> None:
    write(folder / ".bashrc", line)
    assert look({}, folder, NOBODY) == ([], [])


def test_the_key_that_is_in_use_comes_first_wherever_it_stands(folder: Path) -> None:
    write(folder / ".profile", f"export DR_CLAUDE_API={OTHER}\n")
    write(folder / ".bashrc", f"export ANTHROPIC_API_KEY={KEY}\n")
    assert [find.value for find in found(folder)] == [Secret(KEY), Secret(OTHER)]


def test_a_line_that_exports_another_name_as_well_is_not_taken_out(folder: Path) -> None:
    path = write(folder / ".bashrc", f"ANTHROPIC_API_KEY={KEY}; export ANTHROPIC_API_KEY PATH\n")
    assert not removable(path, Place(path, 1, "ANTHROPIC_API_KEY"), Secret(KEY))


def test_bytes_that_are_no_text_stop_nothing() -> None:
    data = b"alias x='\xff\xfe'\n" + f"export ANTHROPIC_API_KEY={KEY}\nexport ANTHROPIC_API_KEY=\xff\n".encode(
        "latin-1"
    )
    found = list(assignments(Path(".bashrc"), data))
    assert [(one.place.line, one.value.reveal()) for one in found] == [(2, KEY)]


@given(st.binary(max_size=200))
def test_no_profile_ends_the_command(data: bytes) -> None:
    for name in (".bashrc", "config.fish"):
        for prefix in (b"", b"export ANTHROPIC_API_KEY="):
            list(assignments(Path(name), prefix + data))


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="$`"), min_size=1))
def test_whatever_a_shell_would_read_is_read(value: str) -> None:
    assert read(f"export ANTHROPIC_API_KEY={shlex.quote(value)}") == [("ANTHROPIC_API_KEY", value)]


def found(home: Path, accounts: Accounts = NOBODY) -> list[Find]:
    finds, troubles = look({}, home, accounts)
    assert not troubles
    assert KEY not in repr(finds)
    return finds


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_one_key_in_two_places_is_one_find(folder: Path) -> None:
    one = write(folder / ".bashrc", f"\nexport ANTHROPIC_API_KEY={KEY}\n")
    two = write(folder / ".config/fish/config.fish", f"set -gx DR_CLAUDE_API {KEY}\n")
    (find,) = found(folder)
    assert find.places == (Place(one, 2, "ANTHROPIC_API_KEY"), Place(two, 1, "DR_CLAUDE_API"))
    assert (find.deed, find.account, find.value) == ("seal", "anthropic", Secret(KEY))


@pytest.mark.parametrize("value", ["https://api.example.org/v1/messages", "aixtiv-ticket-" + "t" * 43])
def test_an_endpoint_and_a_ticket_are_no_keys(folder: Path, value: str) -> None:
    write(folder / ".profile", f"export DR_CLAUDE_API={value}\n")
    assert found(folder) == []


def test_what_does_not_look_like_a_key_is_shown_and_not_taken(folder: Path) -> None:
    write(folder / ".profile", "export ANTHROPIC_API_KEY=your-key-here\n")
    (find,) = found(folder)
    assert find.deed == "none"
    assert "aixtiv api-key set NAME" in find.note


@pytest.mark.parametrize(("holds", "note"), [(True, "sealed as anthropic already"), (False, "has an API key already")])
def test_where_the_account_has_a_key_nothing_is_replaced(folder: Path, holds: bool, note: str) -> None:
    write(folder / ".profile", f"export ANTHROPIC_API_KEY={KEY}\n")
    account = replies.Account(name="anthropic", provider="anthropic", kind="api-key", state="static", key=True)
    (find,) = found(folder, Accounts((account,), lambda name, value: holds and (name, value) == ("anthropic", KEY)))
    assert (find.deed, find.sealed) == ("none", holds)
    assert note in find.note


def test_client_settings_go_on_working_and_a_sign_in_takes_them(folder: Path) -> None:
    write(
        folder / ".profile",
        "export CLAUDE_OAUTH_CLIENT_ID=one CLAUDE_OAUTH_CLIENT_SECRET=hush\nexport MY_CORP_OAUTH_CLIENT_ID=two\n",
    )
    claude, corp = found(folder, Accounts((), lambda _, __: False, ["my-corp"]))
    assert (claude.what, claude.account, claude.deed) == ("client id and secret", "anthropic", "sign-in")
    assert (corp.what, corp.account, corp.deed) == ("client id", "my-corp", "sign-in")
    assert "`aixtiv login my-corp`" in corp.note


def test_nobody_is_sent_to_a_provider_of_which_nothing_says_where_it_is(folder: Path) -> None:
    write(folder / ".profile", "export MY_CORP_OAUTH_CLIENT_ID=two\n")
    (find,) = found(folder)
    assert find.deed == "none"
    assert "`aixtiv login my-corp --issuer URL`" in find.note
    ends = "MY_CORP_OAUTH_AUTH_ENDPOINT=https://a MY_CORP_OAUTH_TOKEN_ENDPOINT=https://t"
    write(folder / ".profile", f"export MY_CORP_OAUTH_CLIENT_ID=two {ends}\n")
    assert [find.deed for find in found(folder)] == ["sign-in"]


def test_a_file_that_others_can_write_is_not_believed_and_that_is_said(folder: Path) -> None:
    path = write(folder / ".bashrc", f"export ANTHROPIC_API_KEY={KEY}\n")
    path.chmod(0o666)
    finds, troubles = look({}, folder, NOBODY)
    assert finds == []
    assert len(troubles) == 1
    assert "can be written by others" in troubles[0]


def test_a_line_is_commented_out_and_its_value_with_it() -> None:
    text = f"one\r\n\texport ANTHROPIC_API_KEY={KEY}\r\nthree"
    after = without(text, [Place(Path(".bashrc"), 2, "ANTHROPIC_API_KEY")])
    assert after == "one\r\n\t: # ANTHROPIC_API_KEY=… was here; aixtiv import has sealed it\r\nthree"


POSIX = f"""\
if [ -n "$HOME" ]; then
  export ANTHROPIC_API_KEY={KEY}
fi
key() {{
  export ANTHROPIC_API_KEY='{KEY}'
}}
if [ -z "$HOME" ]; then
  true
else
  ANTHROPIC_API_KEY={KEY} # mine
fi
[ -n "$HOME" ] &&
  export ANTHROPIC_API_KEY={KEY}
cat <<EOF
export ANTHROPIC_API_KEY={KEY}
EOF
key
echo "the end, and $ANTHROPIC_API_KEY"
"""
FISH = f"""\
if test -n "$HOME"
    set -gx ANTHROPIC_API_KEY {KEY}
end
function key
    set -gx ANTHROPIC_API_KEY '{KEY}'
end
test -n "$HOME"
and set -gx OTHER x
key
echo "the end, and $ANTHROPIC_API_KEY"
"""


@pytest.mark.parametrize(
    ("shell", "name", "text"),
    [
        ("bash", ".bashrc", POSIX),
        ("zsh", ".zshrc", POSIX),
        ("sh", ".profile", POSIX),
        ("fish", "config.fish", FISH),
    ],
)
def test_a_real_shell_reads_what_is_left_to_its_end(folder: Path, shell: str, name: str, text: str) -> None:
    program = presence.command(shell, package=shell)
    path = write(folder / name, text)
    places = [one.place for one in assignments(path, text.encode())]
    path.write_text(after := without(text, places))
    assert KEY not in after
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    ran = subprocess.run([program, "-c", f". {path}"], env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("the end, and \n")


def test_a_line_that_goes_on_from_another_is_left_to_its_person(folder: Path) -> None:
    path = write(folder / ".bashrc", f"export A=1 \\\n  ANTHROPIC_API_KEY={KEY}\n")
    (line,) = assignments(path, path.read_bytes())
    assert not removable(path, line.place, Secret(KEY))


def test_only_the_line_that_was_found_and_does_nothing_else_is_taken_out(folder: Path) -> None:
    path = write(folder / ".bashrc", f"export ANTHROPIC_API_KEY={KEY}\nexport A=1 ANTHROPIC_API_KEY={KEY}\n")
    place = Place(path, 1, "ANTHROPIC_API_KEY")
    assert removable(path, place, Secret(KEY))
    assert not removable(path, place, Secret(OTHER)), "it has been changed meanwhile"
    assert not removable(path, Place(path, 2, "ANTHROPIC_API_KEY"), Secret(KEY)), "that line sets A, too"


@pytest.mark.parametrize(
    "before",
    ["cat > sample <<EOF\n", "cat <<-'END' > sample\n", "note='begun\n", 'note="begun\n', "echo a \\\n"],
)
def test_what_may_be_part_of_something_longer_is_left_to_its_person(before: str) -> None:
    (line,) = assignments(Path(".bashrc"), f"{before}ANTHROPIC_API_KEY={KEY}\n".encode())
    assert not line.alone


@pytest.mark.parametrize("before", ["cat > sample <<EOF\nx\nEOF\n", "# don't\n", "wc <<< word\n", "alias a='b c'\n"])
def test_what_has_ended_holds_no_line_below_it(before: str) -> None:
    (line,) = assignments(Path(".bashrc"), f"{before}ANTHROPIC_API_KEY={KEY}\n".encode())
    assert line.alone


@pytest.mark.parametrize("between", ["\x0c", "\u2028", "\x0b", "\x85"])
def test_only_a_newline_ends_a_line(between: str) -> None:
    text = f"echo start # note{between}export ANTHROPIC_API_KEY={KEY}\n"
    assert list(assignments(Path(".bashrc"), text.encode())) == []
