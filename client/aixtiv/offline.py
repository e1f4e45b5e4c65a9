"""What `claude code generate` gives where Claude cannot be reached: a place to begin, plainly marked as that."""

from pathlib import PurePath
from typing import Final

from msgspec import Struct


class Form(Struct, frozen=True):
    """How a language is written: its comments, and the least that runs. `@` stands for the task, in one line."""

    ends: tuple[str, ...]
    comment: str
    body: str
    first: str = ""  # a line that must be the first
    close: str = ""  # of a comment, where it does not end with its line


_C: Final = '#include <stdio.h>\n\nint main(void) {\n    fputs("not written yet: @\\n", stderr);\n    return 1;\n}\n'
_CPP: Final = '#include <iostream>\n\nint main() {\n    std::cerr << "not written yet: @\\n";\n    return 1;\n}\n'
_GO: Final = (
    'package main\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc main() {\n'
    '\tfmt.Fprintln(os.Stderr, "not written yet: @")\n\tos.Exit(1)\n}\n'
)
_HTML: Final = '<html lang="en">\n<head><meta charset="utf-8"><title>@</title></head>\n<body></body>\n</html>\n'
_JAVA: Final = (
    "public class Main {\n    public static void main(String[] args) {\n"
    '        throw new UnsupportedOperationException("not written yet: @");\n    }\n}\n'
)
_PYTHON: Final = (
    "def main() -> None:\n"
    '    raise NotImplementedError("not written yet: @")\n\n\nif __name__ == "__main__":\n    main()\n'
)
_SHELL: Final = "set -eu\n\nprintf '%s\\n' 'not written yet: @' >&2\nexit 1\n"

FORMS: Final = {
    "bash": Form(("bash",), "# ", _SHELL, first="#!/usr/bin/env bash\n"),
    "c": Form(("c", "h"), "// ", _C),
    "c#": Form(("cs",), "// ", 'throw new System.NotImplementedException("not written yet: @");\n'),
    "c++": Form(("cpp", "cc", "cxx", "hpp"), "// ", _CPP),
    "css": Form(("css",), "/* ", "body {\n}\n", close=" */"),
    "go": Form(("go",), "// ", _GO),
    "html": Form(("html", "htm"), "<!-- ", _HTML, first="<!doctype html>\n", close=" -->"),
    "java": Form(("java",), "// ", _JAVA),
    "javascript": Form(("js", "mjs", "cjs", "jsx"), "// ", 'throw new Error("not written yet: @");\n'),
    "kotlin": Form(("kt", "kts"), "// ", 'fun main() {\n    TODO("@")\n}\n'),
    "php": Form(("php",), "// ", 'throw new Exception("not written yet: @");\n', first="<?php\n"),
    "python": Form(("py", "pyi"), "# ", _PYTHON),
    "ruby": Form(("rb",), "# ", 'raise NotImplementedError, "not written yet: @"\n'),
    "rust": Form(("rs",), "// ", 'fn main() {\n    todo!("@");\n}\n'),
    "shell": Form(("sh",), "# ", _SHELL, first="#!/bin/sh\n"),
    "sql": Form(("sql",), "-- ", ""),
    "swift": Form(("swift",), "// ", 'fatalError("not written yet: @")\n'),
    "typescript": Form(("ts", "tsx", "mts"), "// ", 'throw new Error("not written yet: @");\n'),
}

# Those for which there is only the comment, by how it begins (and ends).
_SIGNS: Final = {
    ("// ", ""): "d dart delphi f# fsharp glsl groovy objective-c pascal proto scala solidity verilog zig",
    ("-- ", ""): "ada applescript elm haskell lua plsql vhdl",
    ("% ", ""): "erlang latex matlab octave postscript prolog tex",
    ("; ", ""): "asm assembly autohotkey clojure elisp ini lisp racket scheme",
    ("! ", ""): "fortran",
    ("*> ", ""): "cobol",
    ("' ", ""): "vb vba vb.net vbscript visual-basic",
    ("REM ", ""): "bat batch basic cmd",
    ('" ', ""): "vim vimscript",
    ("(* ", " *)"): "ocaml sml",
    ("<!-- ", " -->"): "markdown md svg vue xhtml xml",
    ("/* ", " */"): "less pl1 rexx sass scss",
}
_PLAIN: Final = {
    name: Form((), comment, "", close=close) for (comment, close), names in _SIGNS.items() for name in names.split()
}
_ENDINGS: Final = {
    "cob": "cobol",
    "cbl": "cobol",
    "f90": "fortran",
    "hs": "haskell",
    "lua": "lua",
    "m": "matlab",
    "ml": "ocaml",
    "scala": "scala",
    "scss": "scss",
    "tex": "latex",
    "vb": "vb",
    "vim": "vim",
    "xml": "xml",
    "zig": "zig",
}

_ALSO: Final = {
    "cpp": "c++",
    "csharp": "c#",
    "cs": "c#",
    "golang": "go",
    "js": "javascript",
    "node": "javascript",
    "py": "python",
    "python3": "python",
    "rb": "ruby",
    "rs": "rust",
    "sh": "shell",
    "ts": "typescript",
}

DEFAULT: Final = "python"
MARK: Final = "OFFLINE TEMPLATE by aixtiv: Claude could not be reached, so this is not Claude's answer."


def language(typed: str, output: str = "") -> str:
    """The one that was typed, else that of the output's name, else Python."""
    name = typed.strip().lower()
    if name:
        return _ALSO.get(name, name)
    end = PurePath(output).suffix.removeprefix(".").lower()
    known = next((name for name, form in FORMS.items() if end in form.ends), "")
    return known or _ENDINGS.get(end, DEFAULT)


def template(task: str, language: str, why: str) -> str:
    """A file in that language that says what was asked, why nobody answered, and fails when it is run."""
    form = FORMS.get(language) or _PLAIN.get(language) or Form((), "# ", "")
    told = [MARK, f"Why: {why}", "Task:", *task.strip().splitlines()]
    comment = "".join(f"{form.comment}{_within(line, form)}{form.close}".rstrip() + "\n" for line in told)
    body = form.body.replace("@", _line(task))
    return form.first + comment + ("\n" + body if body else "")


def _within(line: str, form: Form) -> str:
    """A line of a comment that neither ends the comment nor, with a backslash at its end, swallows the next one."""
    line = "".join(char if char.isprintable() else " " for char in line).rstrip("\\ ")
    close = form.close.strip()
    line = line.replace("?>", "? >")  # PHP ends at it even within a comment
    return line.replace(close, " ".join(close)).replace("--", "- -").replace("(*", "( *") if close else line


def _line(task: str) -> str:
    """The task as it can stand in a string of any of the languages: one short line, nothing that means something."""
    words = " ".join("".join(char if char.isalnum() or char in " .,;:-" else " " for char in task).split())
    return words if len(words) <= 60 else words[:57].rstrip() + "..."
