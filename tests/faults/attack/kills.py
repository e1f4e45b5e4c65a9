"""SIGKILL: at moments that nobody chose, at each named step, and at each call that changes a file."""

from contextlib import suppress
from signal import SIGKILL
from typing import Final

from aixtiv_protocol import requests
from aixtivd.host.faults import VARIABLE
from faults.attack.attack import Attack
from faults.attack.hostile import DIE, EVERY
from faults.attack.scene import NAMES, Scene, Setting
from peers.authority.weather import hanging
from peers.person import visit

LONGEST: Final = 0.06  # seconds from asking to dying: a refresh takes some twenty milliseconds
START: Final = 0.7  # seconds: a daemon starts, and finishes what was interrupted
CALLS: Final = 60  # that change a file: those of three refreshes, and some
STEPS: Final = ("before-intent", "after-intent", "after-post", "before-commit", "after-commit")
LOG_STEPS: Final = ("audit-written", "audit-half-written", "audit-sealed")


def at_random(scene: Scene) -> None:
    """While refreshes are under way, of which nobody knows how far they are."""
    with scene.refreshing():
        scene.moment(LONGEST)
        scene.kill()


def again_and_again(scene: Scene) -> None:
    """In a refresh, and then before the next daemon has mended what the last one left."""
    at_random(scene)
    for _ in range(scene.chance.randint(1, 3)):
        scene.hostile.forget()
        scene.machine.spawn()
        scene.moment(START)
        scene.kill()


def at_a_step(scene: Scene) -> None:
    """At a named place, on the way of the first refresh, or of the third; now and then one of the audit log's."""
    step = scene.chance.choice((*STEPS, *STEPS, *LOG_STEPS))
    scene.machine.stop()
    scene.hostile.forget()
    scene.machine.spawn(**{VARIABLE: f"{step}:{scene.chance.randint(1, 3)}"})
    scene.answering_or_dead()
    with scene.refreshing(*NAMES) as talks:
        scene.heard(talks)
    scene.kill()


def at_a_call(scene: Scene) -> None:
    """At the n-th call that opens, writes, syncs, cuts or removes a file of the store: before it, or half-way."""
    scene.hostile.disk(scene.state, EVERY, DIE, after=scene.chance.randrange(CALLS), torn=scene.chance.random() < 0.5)
    with scene.refreshing(*NAMES) as talks:
        scene.heard(talks)
    scene.kill()


def at_a_call_of_a_start(scene: Scene) -> None:
    """The same, while a daemon takes over what a killed one left."""
    at_random(scene)
    scene.hostile.forget()
    scene.hostile.disk(scene.state, EVERY, DIE, after=scene.chance.randrange(CALLS), torn=scene.chance.random() < 0.5)
    scene.machine.spawn()
    scene.answering_or_dead()
    scene.refreshed(*NAMES)
    scene.kill()


def full_with_the_pair_in_the_slot(scene: Scene) -> None:
    """The disk is full when the answer comes, and the process dies as soon as the pair lies in the spill slot."""
    assert scene.disk
    scene.restart(**{VARIABLE: f"spill-written:{scene.chance.randint(1, 2)}"})
    with scene.answers_kept_back(*NAMES):
        scene.disk.fill()
        scene.server.release()
        assert scene.machine.ended() == -SIGKILL
    scene.note_death()
    if scene.chance.random() < 0.5:
        scene.disk.make_room()
    scene.hostile.forget()
    scene.start()
    scene.moment(LONGEST)
    scene.kill()


def in_a_sign_in(scene: Scene) -> None:
    """While somebody signs in once more to an account that works."""
    (name,) = scene.chance.sample(NAMES, 1)
    with suppress(OSError, EOFError), scene.asked(scene.login(name)) as (talk,):
        url = getattr(talk.hear(), "url", "")
        scene.weather(hanging(), hanging())
        with scene.refreshing(*NAMES[:1]):
            scene.in_a_moment(LONGEST, scene.kill)
            scene.server.release()
            visit(url, name)
            talk.hear()
    scene.kill()


def in_a_logout(scene: Scene) -> None:
    """What was signed out is gone, or is as it was."""
    (name,) = scene.chance.sample(NAMES, 1)
    with scene.refreshing(*NAMES), scene.asked(requests.Logout(account=name)):
        scene.moment(LONGEST)
        scene.kill()
    scene.leaving.add(name)


ATTACKS: Final = (
    Attack(name="kill", says="SIGKILL at a random instant of a refresh", act=at_random, rounds=10),
    Attack(name="kill-again", says="SIGKILL in a refresh, then while the next daemons recover", act=again_and_again),
    Attack(name="kill-step", says="SIGKILL at each named step", act=at_a_step),
    Attack(
        name="kill-call", says="SIGKILL at the n-th write, fsync, …, or half-way through it", act=at_a_call, rounds=10
    ),
    Attack(name="kill-start", says="the same while the next daemon starts", act=at_a_call_of_a_start),
    Attack(
        name="kill-spilled",
        says="SIGKILL with the pair in the spill slot of a full disk",
        act=full_with_the_pair_in_the_slot,
        setting=Setting(disk=True),
        root=True,
    ),
    Attack(name="kill-sign-in", says="SIGKILL in another sign-in", act=in_a_sign_in),
    Attack(name="kill-logout", says="SIGKILL in a logout", act=in_a_logout),
)
