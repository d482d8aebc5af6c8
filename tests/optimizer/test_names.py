"""Names made when read are the lists that they stand for."""

import numpy as np
import pytest

from optimizer.names import Blocks, Joined, Picked

IDS = ["a", "b{c}", "ä"]
NUMBERS = np.array([7, 8, 9])
LISTED = [f"x_{i}_{n}" for i, n in zip(IDS, NUMBERS)]


def cases():
    joined = Joined("x_", IDS, "_", NUMBERS)
    yield joined, LISTED
    yield Picked(joined, np.array([2, 0, 2])), [LISTED[2], LISTED[0], LISTED[2]]
    yield Blocks([joined, ["one"], [], Joined("y", NUMBERS)]), [*LISTED, "one", "y7", "y8", "y9"]
    yield Blocks([]), []
    yield Joined("x", []), []


@pytest.mark.parametrize(("names", "listed"), list(cases()))
def test_names_are_read_as_lists_are(names, listed):
    assert (len(names), list(names), names[:], names[1:]) == (len(listed), listed, listed, listed[1:])
    assert [names[i] for i in range(len(listed))] == listed
    assert [names[-i] for i in range(1, len(listed) + 1)] == listed[::-1]
    assert names == listed
    assert names != [*listed, "more"]
    for outside in (len(listed), -len(listed) - 1):
        with pytest.raises(IndexError):
            names[outside]


def test_parts_of_different_length_make_no_names():
    with pytest.raises(ValueError, match="one length is expected"):
        Joined("x", [1, 2], [1])
