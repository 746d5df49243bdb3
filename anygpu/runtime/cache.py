"""The disk cache: bytes under content keys, shared by all processes of one user.

What is stored here is machine code that will be run, so the rules are strict.

- *Private.* Nobody but the user (and root) may write the folder, a folder above it or a symbolic link on the way to it; else
  it is refused. Folders that the cache makes have mode 0700. What the file system grants beyond mode bits is seen only where it
  shows in them, as the masks of POSIX access control lists do.
- *Never trusted.* An entry has a digest over its key and payload, checked at every read. One that is truncated, altered, of
  another version or under another key's name is deleted, and the caller builds it again.
- *Atomic.* An entry is written to a temporary file and renamed, so that readers need no lock and a killed writer leaves nothing
  under an entry's name. There is no ``fsync``: what a power failure tears, the digest finds.
- *Bounded.* A hit renews an entry's modification time. A write looks at the whole folder with a probability in proportion to its
  size, once for each 1/64 of the bound on average over all processes, without any shared counter; what was used longest ago then
  goes until 3/4 of the bound are left. So the bound may be passed by a few 64ths for a while.
- *Never in the way.* Where the disk cannot be used, entries stay in memory and one `CacheWarning` says why.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import os
import re
import stat
import struct
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from anygpu.config import Config
from anygpu.errors import CacheWarning, warn

MAGIC = b"anygpu\r\n"  # the line end is the first thing that a transfer as text would change
VERSION = 1
HEADER = struct.Struct("<8sIQ32s")  # magic, version, bytes of payload, digest
KEY = re.compile(r"[0-9a-f]{16,128}")
TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
ABANDONED = 600.0  # seconds; a write takes milliseconds, so an older temporary file belongs to a process that died

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds. ``path`` is its folder, ``bytes`` counts files with their headers, ``limit`` is the bound in bytes.

    ``enabled`` says whether the disk is used, and ``reason`` why it is not (``None`` where it is). Entries that are kept in memory because
    the disk cannot be used are counted too.
    """

    path: str | None
    entries: int
    bytes: int
    limit: int
    enabled: bool
    reason: str | None


class DiskCache:
    """Bytes under content keys on disk. Any thread and any process may use one folder at once, also across ``fork``.

    Args:
        folder: Where entries are kept; made at the first `put`. ``None`` means that there is no such place.
        limit: Bound of the folder in bytes.
        enabled: ``False`` keeps nothing at all, neither on disk nor in memory.

    A key is a digest of everything that the entry depends on: 16 to 128 lower-case hexadecimal digits, or `ValueError`.

    Example:
        >>> import hashlib, tempfile
        >>> cache = DiskCache(tempfile.mkdtemp())
        >>> key = hashlib.sha256(b"all that the code depends on").hexdigest()
        >>> cache.put(key, b"machine code")
        >>> cache.get(key)
        b'machine code'
    """

    def __init__(self, folder: str | os.PathLike[str] | None, limit: int = 512 * 1024**2, enabled: bool = True):
        if limit <= 0:
            raise ValueError(f"the bound of a cache must be positive, not {limit}")
        self._folder = None if folder is None else os.path.join(os.getcwd(), os.fspath(folder))
        self._limit = limit
        self._enabled = enabled
        self._root: str | None = None  # the folder without symbolic links, once it was found private
        self._reason: str | None = None  # why the disk is not written (any more)
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._memory_bytes = 0
        self._lock = threading.Lock()  # over the memory and the one warning; files need none
        _caches.add(self)

    @classmethod
    def from_config(cls, config: Config) -> DiskCache:
        """The cache that the options ask for."""
        return cls(config.cache_dir, config.cache_size, config.cache)

    def get(self, key: str) -> bytes | None:
        """What was put under ``key``, or ``None``. Never raises for what is on the disk."""
        _check(key)
        if not self._enabled:
            return None
        with self._lock:
            data = self._memory.get(key)
            if data is not None:
                self._memory.move_to_end(key)
                return data
        try:
            root = self._find(create=False)
        except Unusable as unusable:
            self._fall_back(unusable.reason)
            return None
        return None if root is None else _read(os.path.join(root, key), key, self._limit)

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data`` under ``key``. What is larger than the whole bound is not kept. Never raises for what is on the disk."""
        _check(key)
        if not self._enabled or HEADER.size + len(data) > self._limit:
            return
        reason = self._reason or self._store(key, data)
        if reason is not None:
            self._remember(key, data)
            self._fall_back(reason)

    def info(self) -> CacheInfo:
        """What is kept now. Looks at every entry of the folder: for people, not for the path of a launch."""
        reason = self._reason if self._enabled else "turned off"
        sizes: list[int] = []
        try:
            root = self._find(create=False) if self._enabled else None
            if root is not None:
                sizes = [status.st_size for name, _, status in _scan(root) if KEY.fullmatch(name)]
        except Unusable as unusable:
            reason = unusable.reason
        except OSError as error:
            reason = _explain(error)
        with self._lock:
            entries, total = len(sizes) + len(self._memory), sum(sizes) + self._memory_bytes
        return CacheInfo(self._folder, entries, total, self._limit, reason is None, reason)

    def clear(self) -> None:
        """Delete every entry, of every process. Files that are no entries stay. Raises `OSError` where the folder cannot be listed."""
        with self._lock:
            self._memory.clear()
            self._memory_bytes = 0
        with contextlib.suppress(Unusable):  # nothing of ours is there
            root = self._find(create=False)
            for _, path, _ in _scan(root) if root is not None else ():
                _remove(path)

    def _find(self, create: bool) -> str | None:
        """The folder itself, ``None`` if it does not exist yet; `Unusable` says why it cannot be used."""
        if self._root is None:
            if self._folder is None:
                raise Unusable("there is no home folder to keep it in")
            if self._reason is not None:
                raise Unusable(self._reason)
            try:
                self._root = private_folder(self._folder, create)
            except OSError as error:
                raise Unusable(_explain(error)) from error
        return self._root

    def _make(self) -> str:
        """The folder itself, made if it does not exist; `Unusable` says why not."""
        root = self._find(create=True)
        if root is None:
            raise Unusable(f"{self._folder} is not a folder")
        return root

    def _store(self, key: str, data: bytes) -> str | None:
        """Write one entry. Returns why that was not possible, else ``None``."""
        try:
            root = self._make()
            try:
                _write(root, key, data)
            except FileNotFoundError:  # someone has deleted the folder since: make it again
                self._root = None
                root = self._make()
                _write(root, key, data)
            # eight bytes of the system's randomness: forked workers must not all draw the same number
            if int.from_bytes(os.urandom(8), "little") * self._limit < (HEADER.size + len(data)) * 64 << 64:
                _trim(root, self._limit)
        except Unusable as unusable:
            return unusable.reason
        except OSError as error:
            return _explain(error)
        return None

    def _remember(self, key: str, data: bytes) -> None:
        with self._lock:
            self._memory_bytes += len(data) - len(self._memory.pop(key, b""))
            self._memory[key] = data
            while self._memory_bytes > self._limit:
                self._memory_bytes -= len(self._memory.popitem(last=False)[1])

    def _fall_back(self, reason: str) -> None:
        """Use the memory from now on, and say so the first time."""
        with self._lock:
            first = self._reason is None
            self._reason = self._reason or reason
        if first:
            hint = "ANYGPU_CACHE_DIR names another folder, ANYGPU_CACHE=0 does without"
            warn(f"compiled kernels are kept in memory only: {reason} ({hint})", CacheWarning)


_caches: weakref.WeakSet[DiskCache] = weakref.WeakSet()


def _renew_locks() -> None:
    # A lock that another thread held at the moment of a fork would never be released in the child.
    for cache in _caches:
        cache._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class Unusable(Exception):
    """A folder that the cache must not or cannot use. ``reason`` says why, for a person."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def private_folder(path: str, create: bool) -> str | None:
    """Walk to the absolute ``path`` and return it without symbolic links, if it is the user's and only the user's to write.

    Every folder on the way must belong to the user or root and be closed to other writers, or have the sticky bit as ``/tmp``
    does, under which they cannot rename or replace what is not theirs; every symbolic link must belong to the user or root.
    OpenSSH holds the files of its users to such a rule (``StrictModes`` in sshd_config(5)).

    Missing folders are made with mode 0700 if ``create``; otherwise the result is then ``None``. Raises `Unusable` if others may write
    the folder, and `OSError` where the system refuses. On Windows nothing is checked: mode bits are invented there, and the
    default folder is closed to others by the access control list that it inherits.
    """
    if sys.platform == "win32":
        if create:
            os.makedirs(path, exist_ok=True)
        return path if os.path.isdir(path) else None
    user = os.geteuid()
    pending = path.split("/")[::-1]
    current = "/"
    links = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        _check_folder(current, user, last=False)
        if part == "..":
            current = os.path.dirname(current)
            continue
        candidate = os.path.join(current, part)
        try:
            status = os.lstat(candidate)
        except FileNotFoundError:
            if not create:
                return None
            with contextlib.suppress(FileExistsError):  # another process was faster; what it made is checked like any other
                os.mkdir(candidate, 0o700)
                os.chmod(candidate, 0o700)  # a umask can take away the user's own rights, too
            status = os.lstat(candidate)
        if stat.S_ISLNK(status.st_mode):
            if status.st_uid not in (0, user):
                raise Unusable(f"{candidate} is a symbolic link of another user")
            links += 1
            if links > 40:
                raise Unusable(f"{path} has too many symbolic links")
            target = os.readlink(candidate)
            current = "/" if target.startswith("/") else current
            pending += target.split("/")[::-1]
        elif stat.S_ISDIR(status.st_mode):
            current = candidate
        else:
            raise Unusable(f"{candidate} is not a folder")
    _check_folder(current, user, last=True)
    return current


def _check_folder(path: str, user: int, last: bool) -> None:
    """Raise `Unusable` if anybody but ``user`` and root may put something in place of what ``path`` contains."""
    status = os.lstat(path)
    mode, owner = status.st_mode, status.st_uid
    if owner != user and (last or owner != 0):
        raise Unusable(f"{path} belongs to another user (number {owner})")
    writers = "everybody" if mode & stat.S_IWOTH else "its group" if mode & stat.S_IWGRP and not _group_of_one(status.st_gid, user) else ""
    if writers and (last or not mode & stat.S_ISVTX):
        raise Unusable(f"{path} may be written by {writers} (mode {stat.S_IMODE(mode):04o}), and machine code is loaded from there")


@functools.cache
def _group_of_one(group: int, user: int) -> bool:
    """Whether the group is the user's own, as many systems make one for each user and then use a umask of 002."""
    import grp  # neither exists on Windows
    import pwd

    try:
        account, members = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    return account.pw_gid == group and members.gr_name == account.pw_name and set(members.gr_mem) <= {account.pw_name}


def _digest(key: str, data: bytes) -> bytes:
    """Over the key too: an entry under another key's name is as wrong as an altered one."""
    digest = hashlib.sha256(key.encode("ascii") + b"\n")  # processors have instructions for this one
    digest.update(data)
    return digest.digest()


def _read(path: str, key: str, limit: int) -> bytes | None:
    """The payload of the entry at ``path`` if it is whole. What is there but is no such entry is deleted."""
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        if error.errno == errno.ELOOP:  # O_NOFOLLOW met a symbolic link, which the cache never makes
            _remove(path)
        return None
    data = None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and HEADER.size <= status.st_size <= limit and _is_own(status):
            with io.FileIO(descriptor, closefd=False) as file:
                data = _payload(file.readall(), key)
    except OSError:
        data = None  # what cannot be read is a miss like any other, and goes
    finally:
        os.close(descriptor)
    if data is None:
        _remove(path)
    else:
        with contextlib.suppress(OSError):  # on a read-only disk nothing will be evicted either
            os.utime(path)
    return data


def _payload(content: bytes, key: str) -> bytes | None:
    """The payload of an entry's bytes, or ``None`` if they are not what was written under ``key``."""
    if len(content) < HEADER.size:
        return None
    magic, version, size, digest = HEADER.unpack_from(content)
    payload = content[HEADER.size :]
    if (magic, version, size) != (MAGIC, VERSION, len(payload)) or digest != _digest(key, payload):
        return None
    return payload


def _is_own(status: os.stat_result) -> bool:
    """Whether nobody else may write this file: it may stem from a time when others could write the folder."""
    return sys.platform == "win32" or (status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH)


def _write(root: str, key: str, data: bytes) -> None:
    """Put one entry in place. Raises `OSError`, and `FileNotFoundError` if the folder is gone; leaves no temporary file behind."""
    temporary = os.path.join(root, f".{os.urandom(8).hex()}.tmp")
    descriptor = os.open(temporary, _WRITE, 0o600)
    try:
        with open(descriptor, "wb") as file:
            if sys.platform != "win32":
                os.fchmod(descriptor, 0o600)  # a umask can take away the user's own rights, too
            file.write(HEADER.pack(MAGIC, VERSION, len(data), _digest(key, data)))
            file.write(data)
        try:
            os.replace(temporary, os.path.join(root, key))
        except FileNotFoundError:
            return  # `clear` of another process took it: that is what was asked for
        except PermissionError:
            if sys.platform != "win32":
                raise
            _remove(temporary)  # Windows does not replace a file that someone is reading, and theirs is the same
    except BaseException:
        _remove(temporary)
        raise


def _trim(root: str, limit: int) -> None:
    """Delete abandoned temporary files, and what was used longest ago if the entries come near the bound."""
    entries: list[tuple[int, int, str]] = []
    temporaries: list[tuple[float, str]] = []
    for name, path, status in _scan(root):
        if KEY.fullmatch(name):
            entries.append((status.st_mtime_ns, status.st_size, path))
        else:
            temporaries.append((status.st_mtime, path))
    entries.sort()
    if entries:
        now = entries[-1][0] / 1e9  # an entry was written just now: this is the file system's clock, which may not be ours
        for modified, path in temporaries:
            if now - modified > ABANDONED:
                _remove(path)
    total = sum(size for _, size, _ in entries)
    if total <= limit * 7 // 8:
        return
    for _, size, path in entries[:-1]:
        if total <= limit * 3 // 4:
            break
        _remove(path)
        total -= size


def _scan(root: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Name, path and status of each entry and temporary file. Other files are not ours."""
    with contextlib.suppress(FileNotFoundError), os.scandir(root) as files:
        for file in files:
            if KEY.fullmatch(file.name) or TEMPORARY.fullmatch(file.name):
                with contextlib.suppress(FileNotFoundError):  # another process deletes, too
                    yield file.name, file.path, file.stat(follow_symlinks=False)


def _remove(path: str) -> None:
    # Another process may have been faster, the disk may be read-only, Windows keeps what is open: none of it needs an answer here.
    with contextlib.suppress(OSError):
        os.unlink(path)


def _check(key: str) -> None:
    if not KEY.fullmatch(key):
        raise ValueError(f"a key is 16 to 128 lower-case hexadecimal digits, not {key!r}")


def _explain(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename is not None else ""
    return f"{place}{error.strerror or error}"
