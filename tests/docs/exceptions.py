"""What a page takes for given, what of it cannot be typed here and why, and what is meant to fail."""

from typing import Final

_WORK: Final = "aixtiv login work --issuer https://id.example.org --client-id ID"
_GITHUB: Final = "aixtiv login github --client-id ID --client-secret"
_CLAUDE: Final = "aixtiv api-key set anthropic"
_CONFIG: Final = "~/.config/aixtiv/config.toml"

# Programs that pages use, and Debian's packages with them.
NEEDS: Final = {"curl": "curl", "git": "git", "jq": "jq", "nc": "netcat-openbsd"}

# Typed before a page.
GIVEN: Final[dict[str, tuple[str, ...]]] = {
    "README.md": (_CLAUDE, "git init -q && echo one > file && git add file && echo two > file"),
    "docs/access.md": (_GITHUB, _CLAUDE),
    "docs/audit.md": (_CLAUDE,),
    "docs/backups.md": (_CLAUDE,),
    "docs/claude.md": (
        _GITHUB,
        "echo x | aixtiv api-key set anthropic/work",
        "git init -q && echo one > file && git add file && echo two > file",
        'echo \'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}\' > request.json',
        "echo hello > lines.txt",
    ),
    "docs/company.md": (
        f'printf \'[provider.work]\\nissuer = "https://id.example.org"\\nclient-id = "native"\\n\' >> {_CONFIG}',
    ),
    "docs/config.md": ("aixtiv status",),
    "docs/errors.md": ("aixtiv status",),
    "docs/locking.md": (_CLAUDE,),
    "docs/notices.md": (_CLAUDE,),
    "docs/sdks.md": (_CLAUDE, _WORK),
}

_ELSEWHERE: Final = "a placeholder for a provider that is not played here"

# Page, how the line begins, why.
NOT_TYPED: Final = (
    ("README.md", "pipx install .", "tests/docs/test_fresh.py installs for real"),
    ("README.md", "aixtiv setup claude-code", "asks first: docs/claude-code.md has it with --yes"),
    ("README.md", "make ", "what `make` does is CI's business"),
    ("README.md", "curl -H", "asks GitHub; docs/start.md has one that asks our server"),
    ("docs/start.md", "pipx install .", "tests/docs/test_fresh.py installs for real"),
    ("docs/headless.md", "head -c 32 /dev/urandom", "systemd 256 or newer"),
    ("docs/headless.md", "docker run", "no image of yours is here"),
    ("docs/locking.md", "systemctl --user kill", "a stand-in for systemctl has no kill"),
    ("docs/audit.md", "aixtiv audit --follow", "goes on until Ctrl-C: tests/e2e/test_audit_files.py"),
    ("docs/notices.md", "aixtiv watch", "waits until a sign-in is needed: tests/e2e/test_watching.py"),
    ("docs/claude.md", "aixtiv login anthropic/ci", "no identity file of a runner is here: tests/e2e/test_sources.py"),
    ("docs/claude.md", "aixtiv login anthropic --ant", "takes the place of another kind only with --replace"),
    ("docs/providers.md", "aixtiv login NAME", "a placeholder"),
    ("docs/providers.md", "aixtiv login github --client-id Iv23", "README.md has it"),
    ("docs/providers.md", "aixtiv login gitlab", _ELSEWHERE),
    ("docs/providers.md", "aixtiv login google", _ELSEWHERE),
    ("docs/providers.md", "aixtiv login microsoft", _ELSEWHERE),
    ("docs/providers.md", "aixtiv login tracker", _ELSEWHERE),
    ("docs/providers.md", "aixtiv login robot", "only `basic` of our server's clients may: tests/e2e/test_sources.py"),
    ("docs/providers.md", "aixtiv login other", _ELSEWHERE),
)

# It is meant to fail: page, how the line begins, exit status.
FAILS: Final = (("docs/errors.md", "aixtiv token github", 1),)
