"""Written plans that several files of tests look at."""

import warnings
from pathlib import Path

import pytest

import optimizer
from optimizer.files import write_plan
from tests.districts import USES, lots, study
from tests.optimizer.test_flows import SERVED
from tests.optimizer.test_pollution import LOUD, NOISE

COLOURS = ("#D55E00", "#0072B2", "#009E73")
HOSTILE = [
    "</script><script>x</script>",
    "=cmd()",
    "\"quoted\" 'twice' <b>&amp;",
    "x" * 10_000,
    "\u202eright to left",
    "[% 6 * 7 %]",
]


def solved(**more):
    """Nine lots: two kept or converted whose uses share a storey, and new ones in a noise limit."""
    frame = lots(9, columns=3, storeys=[3, 2, 0, 0, 0, 0, 0, 0, 0], max_far=[1.8, 1.8, *[0.6] * 7])
    frame.loc[0, ["gfa_making", "gfa_homes"]] = [300.0, 420.0]
    frame.loc[1, ["gfa_shops", "gfa_homes"]] = [250.0, 230.0]
    programme = {"kind": "programme", "min_share": {"shops": 0.2, "making": 0.2, "homes": 0.2}}
    given = {
        "rules": [programme, NOISE],
        "uses": LOUD,
        "pollution": {"step": 10.0, "margin": 30.0},
        "objective": SERVED,
        **more,
    }
    given["parcels"] = {
        "columns": {c: c for c in ("id", "max_far", "coverage", "storeys")},
        "existing": {use: f"gfa_{use}" for use in USES},
    }
    return study(**given), frame


@pytest.fixture(scope="session")
def plan_folder(tmp_path_factory):
    asked, frame = solved()
    return write_plan(optimizer.solve(asked, frame), tmp_path_factory.mktemp("package") / "plan")


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory):
    """A plan whose every text from outside does harm where it is not looked after."""
    asked, frame = solved(
        name=HOSTILE[5] + HOSTILE[0],
        attribution=HOSTILE[0],
        notes=[HOSTILE[5], HOSTILE[4]],
        uses={name: {**use, "label": HOSTILE[k + 3]} for k, (name, use) in enumerate(LOUD.items())},
    )
    names = [*HOSTILE, "a\tb", "{{ 7 * 7 }}", "漢字 🏙"]
    frame = frame.assign(id=names, zone=[*reversed(names)])
    columns = {**asked.parcels.columns, "zone": "zone"}
    asked = optimizer.load_study(
        {**asked.to_dict(), "parcels": {**asked.to_dict()["parcels"], "columns": columns}}, Path()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # figures of the report have no room for a label of 10 kB
        return write_plan(optimizer.solve(asked, frame), tmp_path_factory.mktemp("hostile") / "plan")
