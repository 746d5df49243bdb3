"""The disk cache: right under killed processes, damage, hostile folders and disks that refuse, and bounded."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import anygpu.config
from anygpu.config import Config
from anygpu.errors import CacheWarning
from anygpu.runtime import cache as module
from anygpu.runtime.cache import HEADER, CacheInfo, DiskCache, Unusable, private_folder

posix = pytest.mark.skipif(sys.platform == "win32", reason="mode bits and fork are POSIX's")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")


def key(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "parent" / "cache"


@pytest.fixture
def cache(folder: Path) -> DiskCache:
    return DiskCache(folder)


def python(script: str, *arguments: object, timeout: float = 120) -> str:
    """Run a script in a fresh process on the same anygpu, warnings being errors, and return what it printed."""
    where = str(Path(anygpu.config.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": where}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestRoundTrip:
    def test_hit_miss_and_replacement(self, cache: DiskCache) -> None:
        assert cache.get(key(1)) is None
        cache.put(key(1), b"one")
        cache.put(key(2), b"")
        assert (cache.get(key(1)), cache.get(key(2)), cache.get(key(3))) == (b"one", b"", None)
        cache.put(key(1), b"uno")
        assert cache.get(key(1)) == b"uno"

    def test_other_caches_and_processes_see_it(self, cache: DiskCache, folder: Path) -> None:
        data = os.urandom(200_000)
        cache.put(key(1), data)
        assert DiskCache(folder).get(key(1)) == data
        script = """
            import hashlib, sys
            from anygpu.runtime.cache import DiskCache
            print(hashlib.sha256(DiskCache(sys.argv[1]).get(sys.argv[2])).hexdigest())
        """
        assert python(script, folder, key(1)).strip() == hashlib.sha256(data).hexdigest()

    def test_a_miss_makes_no_folder(self, cache: DiskCache, folder: Path) -> None:
        assert cache.get(key(1)) is None
        assert cache.info() == CacheInfo(str(folder), 0, 0, 512 * 1024**2, True, None)
        cache.clear()
        assert not folder.parent.exists()

    @pytest.mark.parametrize("bad", ["", "ab", "A" * 32, "g" * 32, "../" * 8 + "ab", "a" * 129, "a" * 32 + "\n", "a" * 31 + "\0"])
    def test_bad_keys(self, cache: DiskCache, bad: str) -> None:
        with pytest.raises(ValueError, match="hexadecimal"):
            cache.get(bad)
        with pytest.raises(ValueError, match="hexadecimal"):
            cache.put(bad, b"x")

    def test_info_and_clear(self, cache: DiskCache, folder: Path) -> None:
        cache.put(key(1), b"x" * 100)
        cache.put(key(2), b"y" * 50)
        (folder / "notes.txt").write_text("not an entry")
        (folder / f".{'0' * 16}.tmp").write_text("left behind")
        assert cache.info() == CacheInfo(str(folder), 2, 150 + 2 * HEADER.size, 512 * 1024**2, True, None)
        cache.clear()
        assert cache.info().entries == 0
        assert cache.get(key(1)) is None
        assert [path.name for path in folder.iterdir()] == ["notes.txt"]

    def test_a_deleted_folder_is_made_again(self, cache: DiskCache, folder: Path) -> None:
        cache.put(key(1), b"one")
        shutil.rmtree(folder.parent)
        assert cache.get(key(1)) is None
        cache.put(key(1), b"one")
        assert cache.get(key(1)) == b"one"
        assert cache.info().enabled

    def test_turned_off_keeps_nothing(self, folder: Path) -> None:
        cache = DiskCache(folder, enabled=False)
        cache.put(key(1), b"one")
        assert cache.get(key(1)) is None
        assert not folder.exists()
        assert cache.info() == CacheInfo(str(folder), 0, 0, 512 * 1024**2, False, "turned off")

    def test_from_config(self, folder: Path) -> None:
        environment = {"ANYGPU_CACHE_DIR": str(folder), "ANYGPU_CACHE_SIZE": "3M"}
        cache = DiskCache.from_config(Config.from_environment(environment))
        cache.put(key(1), b"one")
        assert (folder / key(1)).exists()
        assert cache.info().limit == 3 * 1024**2
        assert not DiskCache.from_config(Config.from_environment({**environment, "ANYGPU_CACHE": "0"})).info().enabled

    def test_bound_must_be_positive(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="positive"):
            DiskCache(folder, 0)


class TestDamage:
    """Whatever is done to an entry's file, what comes back is the whole payload or nothing, and the file goes."""

    DATA = b"sixteen bytes..."

    def damaged(self, cache: DiskCache, folder: Path, change: Callable[[bytes], bytes]) -> None:
        cache.put(key(1), self.DATA)
        path = folder / key(1)
        path.write_bytes(change(path.read_bytes()))
        assert cache.get(key(1)) is None
        assert not path.exists()

    def test_every_truncation(self, cache: DiskCache, folder: Path) -> None:
        for size in range(HEADER.size + len(self.DATA)):
            self.damaged(cache, folder, lambda content, size=size: content[:size])  # type: ignore[misc]

    def test_every_bit(self, cache: DiskCache, folder: Path) -> None:
        for bit in range(8 * (HEADER.size + len(self.DATA))):
            flip = 1 << bit
            self.damaged(cache, folder, lambda c, flip=flip: (int.from_bytes(c, "little") ^ flip).to_bytes(len(c), "little"))  # type: ignore[misc]

    def test_more_bytes(self, cache: DiskCache, folder: Path) -> None:
        self.damaged(cache, folder, lambda content: content + b"\0")
        self.damaged(cache, folder, lambda content: content + content)

    def test_another_version(self, cache: DiskCache, folder: Path) -> None:
        magic, version, size, digest = HEADER.unpack(HEADER.pack(module.MAGIC, module.VERSION, 16, module._digest(key(1), self.DATA)))
        self.damaged(cache, folder, lambda _: HEADER.pack(magic, version + 1, size, digest) + self.DATA)

    def test_a_whole_entry_under_another_key(self, cache: DiskCache, folder: Path) -> None:
        cache.put(key(1), self.DATA)
        os.replace(folder / key(1), folder / key(2))
        assert cache.get(key(2)) is None
        assert not (folder / key(2)).exists()

    def test_rebuilt_after_damage(self, cache: DiskCache, folder: Path) -> None:
        self.damaged(cache, folder, lambda content: content[:-1])
        cache.put(key(1), self.DATA)
        assert cache.get(key(1)) == self.DATA

    @posix
    def test_what_is_no_file(self, cache: DiskCache, folder: Path, tmp_path: Path) -> None:
        cache.put(key(1), self.DATA)
        outside = tmp_path / "outside"
        os.replace(folder / key(1), outside)
        os.symlink(outside, folder / key(1))
        os.mkfifo(folder / key(2))
        (folder / key(3)).mkdir()
        for number in (1, 2, 3):
            assert cache.get(key(number)) is None
        assert outside.exists()
        assert [path.name for path in folder.iterdir()] == [key(3)]

    @posix
    def test_an_entry_that_others_may_write(self, cache: DiskCache, folder: Path) -> None:
        cache.put(key(1), self.DATA)
        (folder / key(1)).chmod(0o666)
        assert cache.get(key(1)) is None
        assert not (folder / key(1)).exists()

    @posix
    @as_root
    def test_an_entry_of_another_user(self, cache: DiskCache, folder: Path) -> None:
        cache.put(key(1), self.DATA)
        os.chown(folder / key(1), 65534, -1)
        assert cache.get(key(1)) is None

    def test_no_descriptor_is_left_open(self, cache: DiskCache, folder: Path) -> None:
        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("this system has no /proc/self/fd")
        cache.put(key(1), self.DATA)
        (folder / key(2)).mkdir()
        (folder / key(3)).write_bytes(b"junk")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            cache.get(key(1)), cache.get(key(2)), cache.get(key(3)), cache.put(key(4), b"4")
        assert len(os.listdir("/proc/self/fd")) == before


def refused(folder: Path, match: str) -> None:
    """The folder is refused with one warning that says why, nothing is read from it, and the memory serves."""
    cache = DiskCache(folder)
    before = sorted(os.listdir(folder)) if folder.is_dir() else None
    with pytest.warns(CacheWarning, match=match) as caught:
        cache.get(key("planted"))
        cache.put(key(1), b"one")
        cache.put(key(2), b"two")
        assert cache.get(key("planted")) is None
        assert cache.get(key(1)) == b"one"
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert (sorted(os.listdir(folder)) if folder.is_dir() else None) == before
    info = cache.info()
    assert (info.enabled, info.entries, info.bytes) == (False, 2, 6)
    assert info.reason
    assert info.reason in str(caught[0].message)


@posix
class TestPrivacy:
    @pytest.fixture
    def planted(self, folder: Path) -> Path:
        """A folder with an entry that would be right, were the folder private."""
        cache = DiskCache(folder)
        cache.put(key("planted"), b"evil")
        assert cache.get(key("planted")) == b"evil"
        return folder

    @pytest.fixture
    def umask(self) -> Iterator[Callable[[int], int]]:
        before = os.umask(0o022)
        yield os.umask
        os.umask(before)

    @pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
    def test_what_it_makes_is_private_under_any_umask(self, tmp_path: Path, umask: Callable[[int], int], mask: int) -> None:
        umask(mask)
        cache = DiskCache(tmp_path / "a" / "b" / "c")
        cache.put(key(1), b"one")
        assert cache.get(key(1)) == b"one"
        umask(0o022)
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c", f"a/b/c/{key(1)}")]
        assert modes == [0o700, 0o700, 0o700, 0o600]

    @pytest.mark.parametrize(("mode", "who"), [(0o777, "everybody"), (0o702, "everybody"), (0o1777, "everybody"), (0o720, "its group")])
    def test_a_folder_that_others_may_write(self, planted: Path, monkeypatch: pytest.MonkeyPatch, mode: int, who: str) -> None:
        monkeypatch.setattr(module, "_group_of_one", lambda group, user: False)
        planted.chmod(mode)
        refused(planted, f"may be written by {who}")

    def test_a_folder_that_others_may_read(self, planted: Path) -> None:
        planted.chmod(0o755)
        assert DiskCache(planted).get(key("planted")) == b"evil"

    def test_a_folder_above_that_others_may_write(self, planted: Path) -> None:
        planted.parent.chmod(0o777)
        refused(planted, "parent may be written by everybody")

    def test_a_sticky_folder_above(self, planted: Path) -> None:
        planted.parent.chmod(0o1777)
        assert DiskCache(planted).get(key("planted")) == b"evil"

    def test_the_folder_of_another_user(self, planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 4321)
        refused(planted, "belongs to another user")

    @as_root
    def test_a_folder_above_of_another_user(self, planted: Path) -> None:
        os.chown(planted.parent, 4321, -1)
        refused(planted, "parent belongs to another user")

    def test_own_symbolic_links_are_followed(self, planted: Path, tmp_path: Path) -> None:
        (tmp_path / "absolute").symlink_to(planted.parent)
        (tmp_path / "relative").symlink_to("absolute/../parent/./cache")
        assert DiskCache(tmp_path / "absolute" / "cache").get(key("planted")) == b"evil"
        assert DiskCache(tmp_path / "relative").get(key("planted")) == b"evil"
        assert private_folder(str(tmp_path / "relative"), create=False) == os.path.realpath(planted)

    @as_root
    def test_the_symbolic_link_of_another_user(self, planted: Path, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(planted)
        os.lchown(link, 4321, -1)
        refused(link, "symbolic link of another user")

    def test_a_symbolic_link_to_an_open_folder(self, planted: Path, tmp_path: Path) -> None:
        planted.chmod(0o777)
        (tmp_path / "link").symlink_to(planted)
        refused(tmp_path / "link", "may be written by everybody")

    def test_a_circle_of_symbolic_links(self, tmp_path: Path) -> None:
        (tmp_path / "one").symlink_to("two")
        (tmp_path / "two").symlink_to("one")
        refused(tmp_path / "one" / "cache", "too many symbolic links")

    def test_a_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        refused(tmp_path / "file", "is not a folder")
        refused(tmp_path / "file" / "cache", "is not a folder")

    def test_the_group_of_one(self) -> None:
        import grp
        import pwd

        account = pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(account.pw_gid)
        alone = group.gr_name == account.pw_name and set(group.gr_mem) <= {account.pw_name}
        assert module._group_of_one(account.pw_gid, os.geteuid()) is alone
        assert not module._group_of_one(account.pw_gid + 1, os.geteuid())
        assert not module._group_of_one(2**31 - 5, os.geteuid())
        assert not module._group_of_one(account.pw_gid, 2**31 - 5)


class TestDisksThatRefuse:
    def falls_back(self, cache: DiskCache, match: str) -> None:
        with pytest.warns(CacheWarning, match=match) as caught:
            for number in range(5):
                cache.put(key(number), b"data %d" % number)
        assert len(caught) == 1
        assert [cache.get(key(number)) for number in range(5)] == [b"data %d" % number for number in range(5)]
        assert not cache.info().enabled

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
    @pytest.mark.parametrize("call", ["open", "replace", "mkdir"])
    def test_a_call_that_fails(self, cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
        if call != "mkdir":
            cache.put(key("before"), b"kept")
        real = getattr(os, call)

        def fail(path: str, *rest: int) -> object:
            if call == "open" and not rest[0] & os.O_CREAT:
                return real(path, *rest)
            raise OSError(code, os.strerror(code), path)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            self.falls_back(cache, os.strerror(code))
            if call != "mkdir":
                assert cache.get(key("before")) == b"kept"  # what is on the disk can still be read
                assert [path.name for path in folder.iterdir()] == [key("before")]

    @posix
    def test_a_disk_that_fills_up_in_the_middle_of_an_entry(self, folder: Path) -> None:
        script = """
            import os, resource, sys, warnings
            from anygpu.runtime.cache import DiskCache
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
            cache = DiskCache(sys.argv[1])
            cache.put("a" * 32, bytes(1000))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cache.put("b" * 32, bytes(50_000))
                cache.put("c" * 32, bytes(60_000))
            assert cache.get("a" * 32) == bytes(1000)
            assert cache.get("b" * 32) == bytes(50_000)
            print(len(caught), caught[0].category.__name__, os.listdir(sys.argv[1]), caught[0].message)
        """
        printed = python(script, folder)
        assert printed.startswith(f"1 CacheWarning ['{'a' * 32}'] ")
        assert os.strerror(errno.EFBIG) in printed

    @posix
    def test_a_folder_that_may_not_be_written(self, tmp_path: Path) -> None:
        # root may write everywhere, so the process gives its rights away once everything is imported
        script = """
            import os, sys, tempfile, warnings
            import anygpu.runtime.cache as module, grp, pwd
            folder = tempfile.mkdtemp(dir="/tmp")
            module.DiskCache(folder).put("a" * 32, b"kept")
            if os.geteuid() == 0:
                os.chown(folder, 65534, 65534)
                os.chown(folder + "/" + "a" * 32, 65534, 65534)
                os.setgroups([]), os.setgid(65534), os.setuid(65534)
            os.chmod(folder, 0o500)
            cache = module.DiskCache(folder)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cache.put("b" * 32, b"two"), cache.put("c" * 32, b"three")
                assert cache.get("a" * 32) == b"kept"
                assert cache.get("b" * 32) == b"two"
                cache = module.DiskCache(folder + "/below")
                cache.put("d" * 32, b"four")
                assert cache.get("d" * 32) == b"four"
            os.chmod(folder, 0o700)
            os.unlink(folder + "/" + "a" * 32)
            os.rmdir(folder)
            print(*[f"{warning.category.__name__}: {warning.message}" for warning in caught], sep="\\n")
        """
        lines = python(script).splitlines()
        assert len(lines) == 2
        assert all(line.startswith("CacheWarning: ") and os.strerror(errno.EACCES) in line for line in lines)

    def test_no_home(self) -> None:
        self.falls_back(DiskCache(None), "no home folder")

    def test_a_home_that_does_not_exist(self) -> None:
        self.falls_back(DiskCache("/proc/nothing/anygpu"), "/proc/nothing: ")

    def test_the_memory_is_bounded_too(self) -> None:
        cache = DiskCache(None, limit=1000)
        with pytest.warns(CacheWarning) as caught:
            for number in range(20):
                cache.put(key(number), bytes(100))
                cache.get(key(0))
        assert len(caught) == 1
        kept = [number for number in range(20) if cache.get(key(number)) is not None]
        assert kept == [0, *range(11, 20)]
        assert cache.info().bytes == 1000
        cache.clear()
        assert cache.info().entries == 0

    def test_a_warning_that_is_an_error_loses_nothing(self) -> None:
        cache = DiskCache(None)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(CacheWarning):
                cache.put(key(1), b"one")
            assert cache.get(key(1)) == b"one"

    def test_without_posix(self, cache: DiskCache, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What Windows lacks is not called there, and a reader that keeps an entry open is no failure."""
        for name in ("geteuid", "fchmod"):
            monkeypatch.delattr(os, name, raising=False)
        monkeypatch.setattr(sys, "platform", "win32")
        cache.put(key(1), b"one")
        assert cache.get(key(1)) == b"one"

        def open_elsewhere(source: str, target: str) -> None:
            raise PermissionError(errno.EACCES, "The process cannot access the file", source)

        monkeypatch.setattr(os, "replace", open_elsewhere)
        cache.put(key(1), b"one")
        assert cache.get(key(1)) == b"one"
        assert cache.info().enabled
        assert [path.name for path in folder.iterdir()] == [key(1)]


class TestBound:
    @pytest.fixture(autouse=True)
    def seeded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Eviction looks at the folder at random; here the same at every run."""
        monkeypatch.setattr(os, "urandom", random.Random(1).randbytes)

    def test_what_was_used_longest_ago_goes_first(self, folder: Path) -> None:
        entry = 1000 + HEADER.size
        cache = DiskCache(folder, limit=16 * entry)  # each entry is more than 1/64 of the bound: every write looks
        for number in range(14):
            cache.put(key(number), bytes(1000))
            os.utime(folder / key(number), (1e9 + number, 1e9 + number))
        assert cache.info().entries == 14
        for number in (0, 3, 5):
            assert cache.get(key(number)) is not None  # used again: now the latest
        cache.put(key(14), bytes(1000))
        assert cache.info().bytes <= 16 * entry * 3 // 4
        assert {number for number in range(15) if (folder / key(number)).exists()} == {0, 3, 5, *range(6, 15)}

    def test_the_bound_holds(self, folder: Path) -> None:
        limit = 256 * 1024
        cache = DiskCache(folder, limit)
        chance = random.Random(2)
        most = 0
        for number in range(3000):
            cache.put(key(number), bytes(chance.randrange(2000)))
            if number % 50 == 0:
                most = max(most, cache.info().bytes)
        assert limit // 2 < most <= limit

    def test_few_writes_look_at_the_folder(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = DiskCache(folder, 1024**2)
        looks = 0
        real = module._trim

        def count(root: str, limit: int) -> None:
            nonlocal looks
            looks += 1
            real(root, limit)

        monkeypatch.setattr(module, "_trim", count)
        for number in range(2000):
            cache.put(key(number), bytes(200))
        # 2000 entries of 252 bytes are 30.8 times a 64th of the bound
        assert 15 <= looks <= 60

    def test_more_than_the_bound_is_not_kept(self, folder: Path) -> None:
        cache = DiskCache(folder, limit=1000)
        cache.put(key(1), bytes(1000 - HEADER.size + 1))
        assert cache.get(key(1)) is None
        cache.put(key(2), bytes(1000 - HEADER.size))
        assert cache.get(key(2)) == bytes(1000 - HEADER.size)

    def test_leftovers_of_the_dead_are_swept(self, folder: Path) -> None:
        cache = DiskCache(folder, limit=1000)  # every write looks
        cache.put(key(1), bytes(100))
        old, young, foreign = (folder / name for name in (f".{'a' * 16}.tmp", f".{'b' * 16}.tmp", ".other.tmp"))
        for path in (old, young, foreign):
            path.write_bytes(b"part of an entry")
        for path in (old, foreign):
            os.utime(path, (time.time() - 3600, time.time() - 3600))
        cache.put(key(2), bytes(100))
        assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)


class TestManyAtOnce:
    @posix
    def test_killed_processes(self, folder: Path) -> None:
        """Eight processes, killed every few milliseconds, with entries damaged in place: never a wrong answer."""
        chaos = Path(__file__).with_name("cache_chaos.py").read_text(encoding="utf-8")
        folder.mkdir(parents=True, mode=0o700)
        result = json.loads(python(chaos, folder, 3.0))
        assert result["wrong"] == 0, result
        assert result["crashed"] == 0, result
        # and it was a test: processes died, and entries were read, written and damaged
        assert result["killed"] > 20, result
        assert min(result["hits"], result["puts"], result["misses"], result["vandalised"]) > 100, result
        # the folder goes on working, and what the dead left is swept
        for path in folder.glob(".*.tmp"):
            os.utime(path, (time.time() - 3600, time.time() - 3600))
        cache = DiskCache(folder, 2 * 1024**2)
        cache.put(key("after"), bytes(100_000))
        assert cache.get(key("after")) == bytes(100_000)
        assert not list(folder.glob(".*.tmp"))
        assert cache.info().bytes <= 2 * 1024**2

    @pytest.mark.parametrize("disk", [True, False])
    def test_threads(self, folder: Path, disk: bool) -> None:
        cache = DiskCache(folder if disk else None, limit=200_000)
        payloads = {key(number): os.urandom(100 + number * 200) for number in range(50)}
        wrong: list[str] = []
        hits = [0] * 8

        def work(worker: int) -> None:
            chance = random.Random(worker)
            for _ in range(300):
                name = chance.choice(list(payloads))
                if chance.random() < 0.5:
                    cache.put(name, payloads[name])
                else:
                    data = cache.get(name)
                    hits[worker] += data is not None
                    if data not in (None, payloads[name]):
                        wrong.append(name)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not wrong
        assert sum(hits) > 100
        assert [warning.category for warning in caught] == ([] if disk else [CacheWarning])
        assert cache.info().bytes <= 200_000

    @posix
    def test_a_fork_while_another_thread_holds_the_lock(self, folder: Path) -> None:
        script = """
            import os, signal, sys, threading, warnings
            from anygpu.runtime.cache import DiskCache
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads is the point here
            cache = DiskCache(sys.argv[1])
            cache.put("a" * 32, b"one")
            held, done = threading.Event(), threading.Event()
            def hold():
                with cache._lock:
                    held.set()
                    done.wait()
            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                assert cache.get("a" * 32) == b"one"
                cache.put("b" * 32, b"two")
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            done.set()
            thread.join()
            print(status, cache.get("b" * 32))
        """
        assert python(script, folder).strip() == "0 b'two'"


def test_unusable_says_why() -> None:
    assert str(Unusable("because")) == Unusable("because").reason == "because"
