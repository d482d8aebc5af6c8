"""Names of columns and rows, made only when somebody reads them: a large program has millions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class _Lazy(Sequence[str]):
    """A sequence of text that is made when read; equal to any other sequence of the same text."""

    def _make(self, i: int) -> str:
        raise NotImplementedError

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> list[str]: ...
    def __getitem__(self, key: int | slice) -> str | list[str]:
        if isinstance(key, slice):
            return [self._make(i) for i in range(*key.indices(len(self)))]
        if not -len(self) <= key < len(self):
            raise IndexError(f"name {key} of {len(self)}")
        return self._make(int(key) % len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of lists


class Joined(_Lazy):
    """Parts put one behind the other: text, the same in every name, and sequences with one item a name.

    ``Joined("keep_", ids)`` is ``[f"keep_{i}" for i in ids]``.
    """

    def __init__(self, *parts: str | Sequence[Any] | NDArray[Any]) -> None:
        self._parts = parts
        lengths = {len(part) for part in parts if not isinstance(part, str)}
        if len(lengths) != 1:
            raise ValueError(f"parts of names have lengths {sorted(lengths)}; one length is expected")
        (self._length,) = lengths

    def __len__(self) -> int:
        return self._length

    def _make(self, i: int) -> str:
        return "".join(part if isinstance(part, str) else str(part[i]) for part in self._parts)

    def __iter__(self) -> Iterator[str]:
        columns = [repeat(part) if isinstance(part, str) else map(str, part) for part in self._parts]
        # Text repeats without end; the sequences, which have one length, end the names.
        return map("".join, zip(*columns, strict=False))


class Picked(_Lazy):
    """Some of the names of a sequence, by position."""

    def __init__(self, names: Sequence[str], at: NDArray[np.integer[Any]]) -> None:
        self._names, self._at = names, at

    def __len__(self) -> int:
        return len(self._at)

    def _make(self, i: int) -> str:
        return self._names[int(self._at[i])]


class Blocks(_Lazy):
    """Sequences of names one behind the other."""

    def __init__(self, blocks: Sequence[Sequence[str]]) -> None:
        self._blocks = tuple(blocks)
        self._ends = np.cumsum([len(block) for block in self._blocks], dtype=np.int64).tolist()

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._ends else 0

    def _make(self, i: int) -> str:
        block = bisect_right(self._ends, i)
        return self._blocks[block][i - (self._ends[block - 1] if block else 0)]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._blocks)
