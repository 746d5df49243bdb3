"""Where random numbers come from: a key, and positions that are handed out to draws."""

from __future__ import annotations

import operator
import threading
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.random import SeedSequence

from anygpu.arrays.ndarray import ndarray

NAME = "Philox4x32-10"
_WORD = 1 << 32
_POSITIONS = 1 << 64


class Counters(TypedDict):
    """The words of a Philox state: ``counter`` four and ``key`` two of uint32, the least significant first."""

    counter: np.ndarray
    key: np.ndarray


class State(TypedDict):
    """What ``Philox.state`` gives and takes."""

    bit_generator: str
    state: Counters


class Philox:
    """The counter-based generator Philox4x32-10: a pure function of a key and a counter, so that each element of an array has numbers
    of its own, whoever computes it and when.

    A draw takes as many *positions* as it has work-items; position ``p``, block ``t`` of a stream is the counter
    ``(p mod 2**32, p // 2**32, t, stream)``. There are ``2**64`` positions in a stream.

    Args:
        seed: None (the system's entropy), an int or a sequence of ints, or a `numpy.random.SeedSequence`.
        counter: Where to begin: an int below ``2**128`` or four words, least significant first. The third must be 0.
        key: An int below ``2**64`` or two words, in place of ``seed``.

    Raises:
        ValueError: for both a seed and a key, or for words out of range.

    Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Example:
        >>> import anygpu as ag
        >>> ag.random.Philox(key=0, counter=0).random_raw(97)[::32].tolist()
        [1713891541, 3781805453, 3159862348, 2600524760]
    """

    def __init__(self, seed: object = None, counter: object = None, key: object = None):
        self.lock = threading.Lock()
        stream = 0
        if key is None:
            if not isinstance(seed, SeedSequence):
                plain = seed.__array__() if isinstance(seed, ndarray) else seed
                seed = SeedSequence(plain)  # type: ignore[arg-type]
            k0, k1, stream = (int(word) for word in seed.generate_state(3, np.uint32))
            self._seed_seq: SeedSequence | None = seed
            self._key = (k0, k1)
        else:
            if seed is not None:
                raise ValueError("seed and key cannot be both used")
            k0, k1 = _words(key, 2, "key")
            self._seed_seq = None
            self._key = (k0, k1)
        self._position, self._stream = 0, stream
        if counter is not None:
            self._position, self._stream = _from_counter(_words(counter, 4, "counter"))

    @property
    def seed_seq(self) -> SeedSequence | None:
        """The seed sequence that made the key; None if a key was given."""
        return self._seed_seq

    @property
    def state(self) -> State:
        """The name of the generator, its key and the counter of its next draw. Setting it goes on from there."""
        counter = np.array([self._position % _WORD, self._position // _WORD, 0, self._stream], np.uint32)
        return {"bit_generator": NAME, "state": {"counter": counter, "key": np.array(self._key, np.uint32)}}

    @state.setter
    def state(self, value: State) -> None:
        if not isinstance(value, dict):
            raise TypeError("state must be a dict")
        if value.get("bit_generator") != NAME:
            raise ValueError(f"state must be for a {NAME} PRNG")
        k0, k1 = _words(value["state"]["key"], 2, "key")
        place = _from_counter(_words(value["state"]["counter"], 4, "counter"))
        with self.lock:
            self._key = (k0, k1)
            self._position, self._stream = place

    def take(self, count: int) -> tuple[int, int, int, int, int]:
        """``count`` positions that no other draw gets, as kernels take them: key, first position (two words each) and stream, each a
        word of 32 bits as a signed int."""
        with self.lock:
            first = self._position
            self._position = (first + count) % _POSITIONS
            k0, k1, stream = *self._key, self._stream
        return _signed(k0), _signed(k1), _signed(first % _WORD), _signed(first // _WORD), _signed(stream)

    def advance(self, delta: int) -> Philox:
        """Move by ``delta`` positions, back if it is negative."""
        with self.lock:
            self._position = (self._position + operator.index(delta)) % _POSITIONS
        return self

    def jumped(self, jumps: int = 1) -> Philox:
        """A generator ``jumps`` streams on, at the same position: as if ``jumps * 2**96`` counters had been drawn."""
        made = Philox(key=self._key)
        made._seed_seq = self._seed_seq
        made._position, made._stream = self._position, (self._stream + operator.index(jumps)) % _WORD
        return made

    def spawn(self, n_children: int) -> list[Philox]:
        """Generators whose seed sequences are children of this one's."""
        if self._seed_seq is None:
            raise TypeError("The underlying SeedSequence does not implement spawning.")
        return [Philox(child) for child in self._seed_seq.spawn(n_children)]

    def random_raw(self, size: object = None, output: bool = True) -> ndarray | None:
        """The words themselves, uint32 in an array of shape ``size``; None if ``output`` is false, which only advances."""
        from anygpu.arrays.random_draw import words

        found = words(self, size)
        return found if output else None

    def __eq__(self, other: object) -> bool:
        mine = (self._key, self._position, self._stream)
        return isinstance(other, Philox) and mine == (other._key, other._position, other._stream)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Philox(key={self._key[0] + self._key[1] * _WORD:#018x}, position={self._position}, stream={self._stream:#x})"

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (self.state, self._seed_seq)


def _restored(state: State, seed_seq: SeedSequence | None) -> Philox:
    made = Philox(key=0)
    made.state = state
    made._seed_seq = seed_seq
    return made


def _from_counter(words: Sequence[int]) -> tuple[int, int]:
    if words[2]:
        raise ValueError("the third word of the counter counts within an element, and must be 0 here")
    return words[0] + words[1] * _WORD, words[3]


def _words(value: object, count: int, name: str) -> list[int]:
    """``count`` words of 32 bits, the least significant first, of an int or of a sequence of words."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        found = [operator.index(word) for word in value]  # type: ignore[attr-defined]
        if len(found) != count or any(not 0 <= word < _WORD for word in found):
            raise ValueError(f"{name} must be an int, or {count} words of 32 bits") from None
        return found
    if not 0 <= number < 1 << 32 * count:
        raise ValueError(f"{name} must be positive and less than 2**{32 * count}.")
    return [number >> 32 * n & (_WORD - 1) for n in range(count)]


def _signed(word: int) -> int:
    """A word of 32 bits as the signed int with those bits: launches are quickest with small ints."""
    return word - _WORD if word >> 31 else word
