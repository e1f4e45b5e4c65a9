"""Words of replies of which a newer daemon may have more.

So type checkers hold whoever builds a reply to those there are, while decoders take any string: readers need a branch
for the rest.
"""

from typing import TYPE_CHECKING

from aixtiv_protocol.requests import Right, Verb
from aixtiv_protocol.words import Code, Happening, Kind, State, Verdict, What

if TYPE_CHECKING:
    OpenCode = Code
    OpenState = State
    OpenKind = Kind
    OpenHappening = Happening
    OpenVerdict = Verdict
    OpenWhat = What
    OpenVerb = Verb
    OpenRight = Right
else:
    OpenCode = OpenState = OpenKind = OpenHappening = OpenVerdict = OpenWhat = OpenVerb = OpenRight = str
