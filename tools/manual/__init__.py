"""Writes man/ and docs/options.md from what `--help` and docs/ say: `make man`."""
