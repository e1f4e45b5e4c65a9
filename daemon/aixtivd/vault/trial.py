"""What `--check-config` and `--check-store` say: whether this aixtivd could start here. Nothing is opened."""

import sys

from aixtivd.config.options import Options, read_config
from aixtivd.errors import AixtivError
from aixtivd.host.farewell import say
from aixtivd.paths import Paths
from aixtivd.vault import store


def of(where: Paths, options: Options) -> int:
    """The exit status. Says which config file it is, for `aixtiv config check` reads this output; and what is wrong."""
    try:
        if options.trial == "store":
            store.check_known(where.store)
        else:
            sys.stdout.write(f"{where.config}\n")
            read_config(where.config, options)
    except AixtivError as error:
        say(error)
        return 1
    return 0
