"""What a server can do to an answer: lose it, cut it, keep it back, talk nonsense."""

from typing import Final

from msgspec.structs import replace

from faults.attack.attack import Attack
from faults.attack.scene import FORGIVING, KINDS, NAMES, Scene, Setting
from peers.authority import weather as skies
from peers.authority.weather import Weather

QUICK: Final = Setting(config="[refresh]\ntimeout = 1\n")
LATE: Final = 1.6  # seconds: longer than the timeout, now and then
STRICT: Final = tuple(kind for kind in KINDS if kind not in FORGIVING)

_NONSENSE: Final = (
    skies.web_page(),
    skies.web_page(503),
    skies.too_many("1"),
    skies.unavailable(),
    skies.says("invalid_grant", 200),
    skies.says("invalid_grant", 400),
    skies.says("invalid_client", 401),
    skies.says("flux_capacitor"),
    skies.says("server_error", 500),
    Weather(status=200, body=""),
    Weather(status=200, headers={"Content-Type": "application/json"}, body='{"access_token": 7}'),
    Weather(status=302, headers={"Location": "https://elsewhere.test/"}),
    Weather(status=204),
)
_SLOPPY: Final = (
    skies.no_lifetime(),
    Weather(without=("access_token",)),
    Weather(without=("token_type",)),
    Weather(put={"expires_in": "soon", "scope": 7}),
    Weather(put={"token_type": "mac"}),
    Weather(put={"access_token": ["x"]}),
    Weather(padding=1000),
)


def of_refreshes(*rows: Weather) -> list[Weather]:
    return [replace(row, grant="refresh_token") for row in rows]


def lost(scene: Scene) -> None:
    """The server has rotated, and nobody hears of it."""
    scene.weather(*of_refreshes(*[skies.lost()] * scene.chance.randint(1, 3)))
    scene.refreshed()


def cut(scene: Scene) -> None:
    """The answer to a rotation ends early: after its head, or somewhere in its body."""
    scene.weather(*of_refreshes(*(_cut_somewhere(scene) for _ in range(scene.chance.randint(1, 3)))))
    scene.refreshed()


def _cut_somewhere(scene: Scene) -> Weather:
    """The new refresh token may be in what arrives."""
    first = ("refresh_token",) if scene.chance.random() < 0.5 else ()
    share = scene.chance.uniform(0.2, 1.0)
    return scene.chance.choice((skies.cut("head"), Weather(cut="body", after=share, first=first)))


def nonsense(scene: Scene) -> None:
    """Anything but an answer, for some requests: nothing was spent."""
    scene.weather(*of_refreshes(*scene.chance.choices(_NONSENSE, k=scene.chance.randint(1, 6))))
    scene.refreshed()
    scene.refreshed()


def sloppy(scene: Scene) -> None:
    """A new refresh token in an answer that is otherwise not worth much."""
    scene.weather(*of_refreshes(*scene.chance.choices(_SLOPPY, k=scene.chance.randint(1, 3))))
    scene.refreshed()


def late(scene: Scene) -> None:
    """An answer that comes just before, or after, nobody waits for it any more."""
    with scene.answers_kept_back():
        scene.moment(LATE)
        scene.server.release()
        scene.moment(0.1)


def large(scene: Scene) -> None:
    """A good answer with two megabytes behind it."""
    scene.weather(*of_refreshes(skies.large()))
    scene.refreshed()


def cut_and_killed(scene: Scene) -> None:
    """Answers are lost, and the process dies before anybody has made sense of it."""
    scene.weather(*of_refreshes(*[scene.chance.choice((skies.lost(), skies.cut("body")))] * 2))
    with scene.refreshing(*NAMES):
        scene.moment(0.08)
        scene.kill()


ATTACKS: Final = (
    Attack(name="lost", says="the answer lost after the server rotated", act=lost),
    Attack(name="cut", says="the answer cut in the middle", act=cut, rounds=10),
    Attack(name="late", says="the answer when nobody waits any more", act=late, setting=QUICK),
    Attack(name="large", says="a good answer with two megabytes behind it", act=large),
    Attack(name="nonsense", says="captive portals, 429, 5xx, false errors", act=nonsense, rounds=10),
    Attack(name="sloppy", says="a new refresh token in a sloppy answer", act=sloppy, rounds=10),
    Attack(name="lost-kill", says="answers lost or cut, and SIGKILL", act=cut_and_killed),
)
