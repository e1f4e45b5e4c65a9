"""Modules that load when they are first used: which, when, and what becomes of those that nobody uses."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aixtivd import later


def said(script: str) -> list[str]:
    """What a Python of its own prints, word by word: in this one they have all been loaded."""
    words = [sys.executable, "-c", textwrap.dedent(script)]
    ran = subprocess.run(words, check=True, capture_output=True, text=True)
    return ran.stdout.split()


def test_importing_the_daemon_loads_none_of_them() -> None:
    script = """
        from aixtivd import later
        later.begin()
        import sys, aixtivd.app
        print(*(name for name in later.FOREIGN | later.OURS if type(sys.modules.get(name)).__name__ == "module"))
    """
    said("import aixtivd.app")  # compiled before: a \N{…} in a source takes `unicodedata` to be compiled
    assert set(said(script)) <= set(sys.builtin_module_names)  # Debian's Python has `unicodedata` built in


def test_what_is_ours_is_on_the_list_under_a_name_that_there_is() -> None:
    for name in later.OURS | later.FOREIGN:
        later.load(name)
        assert name in sys.modules


def test_a_listed_module_is_whole_as_soon_as_something_of_it_is_used() -> None:
    script = """
        import sys
        from aixtivd import later
        sys.meta_path.insert(0, later.Finder(frozenset({"colorsys"})))
        import colorsys
        print(type(colorsys).__name__, "ONE_THIRD" in vars(colorsys))
        print(colorsys.ONE_THIRD > 0, type(colorsys).__name__)
    """
    assert said(script) == ["_Waiting", "False", "True", "module"]


def test_what_is_taken_out_of_a_listed_module_is_the_thing_itself() -> None:
    script = """
        import sys
        from aixtivd import later
        sys.meta_path.insert(0, later.Finder(frozenset({"colorsys"})))
        from colorsys import rgb_to_hsv
        print(rgb_to_hsv.__module__, hasattr(sys.modules["colorsys"], "nothing_of_that_name"))
    """
    assert said(script) == ["colorsys", "False"]


def test_two_threads_that_want_one_at_the_same_time_both_find_it_whole() -> None:
    """The second one comes while the first is in the middle of it."""
    script = """
        import sys, threading, types
        from aixtivd import later
        inside, go_on = threading.Event(), threading.Event()
        class Slow:
            def create_module(self, spec): return None
            def exec_module(self, module):
                inside.set()
                go_on.wait(20)
                module.answer = 42
        postponed = later._Postponed(Slow())
        spec = types.SimpleNamespace(loader_state=postponed)
        module = types.ModuleType("slow")
        module.__spec__ = spec
        postponed.exec_module(module)
        found = []
        threads = [threading.Thread(target=lambda: found.append(module.answer)) for _ in range(2)]
        threads[0].start()
        inside.wait(20)
        threads[1].start()
        go_on.set()
        for thread in threads: thread.join(20)
        print(*found)
    """
    assert said(script) == ["42", "42"]


def test_one_that_could_not_be_loaded_says_so_and_is_tried_again() -> None:
    script = """
        import types
        from aixtivd import later
        class Fails:
            def __init__(self): self.times = 0
            def exec_module(self, module):
                self.times += 1
                if self.times == 1: raise OSError
                module.answer = 42
        postponed = later._Postponed(Fails())
        module = types.ModuleType("fails")
        module.__spec__ = types.SimpleNamespace(loader_state=postponed)
        postponed.exec_module(module)
        try: module.answer
        except OSError: print("failed")
        print(module.answer)
    """
    assert said(script) == ["failed", "42"]


async def test_soon_after_a_start_all_that_is_ours_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update replaces the files under a daemon that runs; what it is made of must be of one version."""
    kept: list[str] = []
    monkeypatch.setattr(later, "SOON", 0)
    monkeypatch.setattr(later, "keep", kept.append)
    monkeypatch.setattr(sys, "meta_path", [later.Finder(later.OURS), *sys.meta_path])
    await later.settle()
    assert kept == sorted(later.OURS)


def test_a_module_that_was_kept_runs_as_it_was_when_its_file_has_been_replaced(tmp_path: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from aixtivd import later
        sys.path.insert(0, {str(tmp_path)!r})
        sys.dont_write_bytecode = True
        for name in ("one", "other"): Path({str(tmp_path)!r}, name + ".py").write_text("version = 'old'")
        sys.meta_path.insert(0, later.Finder(frozenset({{"one", "other"}})))
        import one, other
        later.keep("one")
        print(type(one).__name__)
        for name in ("one", "other"): Path({str(tmp_path)!r}, name + ".py").write_text("version = 'newer'")
        print(one.version, type(one).__name__, other.version)
    """
    assert said(script) == ["_Waiting", "old", "module", "newer"]


async def test_where_nothing_is_postponed_nothing_is_kept_and_garbage_is_collected_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[str] = []
    monkeypatch.setattr(later, "SOON", 0)
    monkeypatch.setattr(later, "keep", kept.append)
    await later.settle()
    later.begun()
    assert not kept


def test_garbage_is_collected_again_once_the_daemon_has_started() -> None:
    script = """
        import gc
        from aixtivd import later
        later.begin()
        before = gc.isenabled()
        later.begun()
        print(before, gc.isenabled(), gc.get_freeze_count() > 0)
    """
    assert said(script) == ["False", "True", "True"]
