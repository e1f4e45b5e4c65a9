"""`python -m manual`: writes the pages."""

from manual.pages import written

for path, text in written().items():
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
