"""One target under atheris: `python -m fuzz.under_atheris NAME [libFuzzer's options]`. It exits as libFuzzer does."""

import logging
import sys
from random import Random

import atheris

from fuzz.edits import edited
from fuzz.table import target as named


def main(name: str, options: list[str]) -> None:
    # What is imported here reports its branches; what is written in C reports none, and the edits have to find the way.
    with atheris.instrument_imports(include=["aixtivd", "aixtiv_protocol", "urllib.parse", "tomllib", "json"]):
        target = named(name)
    seeds = target.seeds()
    logging.disable(logging.CRITICAL)  # what is wrong is said to nobody, a million times

    def mutator(data: bytes, longest: int, seed: int) -> bytes:
        """Half of them by libFuzzer's own edits, half by ours, which know the form.

        A third begins with a seed: libFuzzer keeps only what reaches another branch, and a parser in C shows none.
        """
        random = Random(seed)
        if random.random() < 0.5:
            return bytes(atheris.Mutate(data, longest))
        return edited(random.choice(seeds) if random.random() < 0.7 else data, target, random)[:longest]

    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *options], target.run, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
