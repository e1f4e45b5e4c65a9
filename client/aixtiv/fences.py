"""Code out of a model's answer: what stands between its fences, pure (CommonMark, fenced code blocks)."""

import re
from typing import Final

_OPENS: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})[^`\n]*$")


def code(answer: str) -> str:
    """What stands between the fences, several blocks one after the other; without a fence, all of it.

    A fence that nothing closes (the answer was cut off) reaches to the end.
    """
    blocks: list[list[str]] = []
    fence = ""
    for line in answer.splitlines():
        if fence and _closes(line, fence):
            fence = ""
        elif fence:
            blocks[-1].append(line)
        elif found := _OPENS.match(line):
            fence = found[1]
            blocks.append([])
    text = "\n\n".join("\n".join(block) for block in blocks) if blocks else answer
    return text.strip("\n") + "\n"


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return bare == fence[0] * len(bare) and len(bare) >= len(fence) and not line.startswith("    ")
