"""Code out of answers, as models write them."""

import pytest

from aixtiv.fences import code


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("print(1)", "print(1)\n"),
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("Here it is:\n\n```python\nprint(1)\n\nprint(2)\n```\n\nThat prints.", "print(1)\n\nprint(2)\n"),
        ("```\na\n```\nand\n```js\nb\n```", "a\n\nb\n"),
        ("````md\n```\ninner\n```\n````", "```\ninner\n```\n"),
        ("~~~\na ``` b\n~~~", "a ``` b\n"),
        ("```python\nprint(1)", "print(1)\n"),
        ("use `x` and ```y``` inline", "use `x` and ```y``` inline\n"),
        ("", "\n"),
    ],
)
def test_what_stands_between_the_fences(answer: str, expected: str) -> None:
    assert code(answer) == expected
