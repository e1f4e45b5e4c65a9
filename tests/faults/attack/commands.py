"""What a person does in the middle of a refresh and of a stream."""

import os
import time
from contextlib import suppress
from signal import SIGHUP, SIGTERM
from typing import Final

from aixtiv_protocol import requests
from aixtiv_protocol.secret import Secret
from faults.attack.attack import Attack
from faults.attack.scene import NAMES, Scene, Setting
from peers.person import visit
from peers.waiting import until

MOMENT: Final = 0.05
SLOWLY: Final = 1.2  # seconds
STREAMING: Final = Setting(claude=True)


def stop(scene: Scene) -> None:
    """By the command, by SIGTERM, or by two of them."""
    with scene.streams(), scene.answers_kept_back():
        match scene.chance.randrange(3):
            case 0:
                with scene.asked(requests.Stop()):
                    scene.moment(MOMENT)
            case times:
                for _ in range(times):
                    scene.machine.signal(SIGTERM)
                    scene.moment(MOMENT)
        scene.server.release()
        scene.moment(MOMENT)
    scene.machine.ended()  # not for as long as a stream may say nothing: its caller has gone


def restart(scene: Scene) -> None:
    """It becomes another daemon; perhaps killed on the way, perhaps while the next one begins."""
    before = len(scene.machine.logged("ready"))
    with scene.streams(), scene.answers_kept_back(), scene.asked(requests.Restart()) as asked:
        scene.moment(MOMENT)
        scene.server.release()
        scene.heard(asked)
        if scene.chance.random() < 0.4:
            scene.moment(SLOWLY)
            scene.kill()
    if scene.runs:
        scene.wait_for_log("ready", before + 1)


def reload(scene: Scene) -> None:
    """Other settings, good and bad ones; refreshes and streams go on."""
    with scene.streams(), scene.answers_kept_back():
        scene.configure(scene.chance.choice(("[refresh]\nat-once = 1\n", "[refresh]\ntimeout = 3\n", "nonsense", "")))
        if scene.chance.random() < 0.5:
            scene.machine.signal(SIGHUP)
        else:
            scene.reload()
        scene.server.release()
        scene.moment(MOMENT)
    scene.configure()
    scene.reload()


def lock(scene: Scene) -> None:
    """And unlock; perhaps again before the first is done, perhaps killed on the way."""
    with scene.streams(), scene.answers_kept_back(), scene.asked(requests.Lock()) as locking:
        scene.moment(MOMENT)
        with scene.asked(requests.Unlock(passphrase=scene.passphrase)):
            scene.moment(MOMENT)
            scene.server.release()
            if scene.chance.random() < 0.2:
                scene.kill()
            scene.heard(locking)


def lock_slowly(scene: Scene) -> None:
    """It waits for a refresh for longer than it takes to write the audit log; then another daemon reads that."""
    with scene.answers_kept_back(), scene.asked(requests.Lock()) as locking:
        scene.moment(MOMENT)
        time.sleep(SLOWLY)
        scene.server.release()
        scene.heard(locking)
    if scene.chance.random() < 0.3:
        scene.unlock()
    scene.restart()


def logout(scene: Scene) -> None:
    """The account whose token is just being refreshed; the others go on."""
    (name,) = scene.chance.sample(NAMES, 1)
    with scene.streams(), scene.answers_kept_back(*NAMES), scene.asked(requests.Logout(account=name)) as leaving:
        scene.moment(MOMENT)
        scene.server.release()
        scene.heard(leaving)
    scene.gone.add(name)


def sign_in_again(scene: Scene) -> None:
    """To an account whose refresh is under way: its late answer spoils nothing."""
    (name,) = scene.chance.sample(NAMES, 1)
    with scene.answers_kept_back(*NAMES), scene.asked(scene.login(name)) as (talk,):
        visit(talk.hear().url, name)  # type: ignore[union-attr]  # SignInStarted; anything else fails the round
        scene.moment(MOMENT)
        scene.server.release()
        talk.hear()


def api_key(scene: Scene) -> None:
    """Stored, or removed, in the middle of the account's refresh."""
    names = scene.some()
    keys = [requests.ApiKey(account=name, key=Secret("sk-made-up")) for name in names]
    with scene.answers_kept_back(*names), scene.asked(*keys) as talks:
        scene.moment(MOMENT)
        scene.server.release()
        scene.heard(talks)
    with scene.refreshing(*names), scene.asked(*(requests.ApiKey(account=name) for name in names)) as talks:
        scene.heard(talks)


def two_daemons(scene: Scene) -> None:
    """Started at once, some of them: exactly one lives, and mends what the last one left."""
    with scene.refreshing():
        scene.moment(MOMENT)
        scene.kill()
    scene.hostile.forget()
    many = [scene.machine.spawn() for _ in range(scene.chance.randint(2, 3))]
    until(lambda: sum(one.poll() is None for one in many) == 1, "all but one give up")
    (scene.machine.daemon,) = [one for one in many if one.poll() is None]
    scene.answering_or_dead()
    if scene.chance.random() < 0.3:
        scene.machine.spawn().wait(30)
        scene.machine.daemon = next(one for one in many if one.poll() is None)
    os.kill(scene.machine.pid, 0)


def callers_hang_up(scene: Scene) -> None:
    """Many callers ask at once, and go before they are answered."""
    scene.server.tell(access_ttl=1.0)
    scene.refreshed(*NAMES)
    scene.server.tell(access_ttl=3600.0)
    asked = [requests.Token(account=name, min_ttl=1800, wait=5) for name in NAMES] * 8
    with suppress(OSError), scene.asked(*asked), scene.refreshing(*NAMES):
        scene.moment(MOMENT)


ATTACKS: Final = (
    Attack(name="stop", says="stop and SIGTERM amid a refresh and a stream", act=stop, setting=STREAMING),
    Attack(name="restart", says="restart amid a refresh and a stream, perhaps SIGKILL", act=restart, setting=STREAMING),
    Attack(name="reload", says="reload amid a refresh and a stream", act=reload, setting=STREAMING),
    Attack(name="lock", says="lock and unlock amid a refresh and a stream", act=lock, setting=STREAMING),
    Attack(
        name="lock-phrase",
        says="the same where a passphrase opens the vault",
        act=lock,
        setting=Setting(claude=True, key="passphrase"),
        rounds=4,
    ),
    Attack(name="lock-slow", says="a lock that waits for a refresh; stop, start", act=lock_slowly, rounds=4),
    Attack(name="logout", says="logout amid a refresh and a stream", act=logout, setting=STREAMING),
    Attack(name="sign-in", says="another sign-in amid a refresh", act=sign_in_again),
    Attack(name="api-key", says="an API key comes and goes amid a refresh", act=api_key),
    Attack(name="two-daemons", says="several daemons started at once, after SIGKILL", act=two_daemons),
    Attack(name="hang-up", says="callers who hang up", act=callers_hang_up),
)
