"""What rules on pollution share: limits at receptors, what is there already, and where that alone is too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from optimizer.errors import StudyError
from optimizer.rules.base import HOLDS, Evidence, Rule

if TYPE_CHECKING:
    import pandas as pd

    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model
    from optimizer.surroundings import At

Exceeded = Literal["error", "exclude", "own"]


class ReceptorRule(Rule):
    """A rule that limits what arrives at receptors."""

    exceeded: Exceeded = Field(
        default="error",
        description="where what is there already breaks the limit: an error; no new or converted floor of the use there "
        "('exclude'); or the plan's own part alone keeps the limit ('own')",
    )

    def backgrounds(self) -> list[tuple[str, Literal["noise", "air"], At]]:
        """Return the rasters that the rule reads: name, kind and where."""
        return []

    def may_hold(self, model: Model, use: int) -> Bools:
        """Return the sites on chosen parcels where a building can hold a use, shape (S,)."""
        d = model.district
        chosen = d.select(self.where, self.label)[d.parcel_of]
        free = ~d.parcels["protected"].to_numpy(dtype=bool)[d.parcel_of]
        built = (d.storey_limit[:, use] > 0) | (d.storeys_today > 0)[d.parcel_of]
        return np.asarray(chosen & ((d.existing_at[:, use] > 0) | (free & built)))

    def rooms(
        self, limit: float, background: Floats | None, own_limit: float, names: list[str], key: str, told: Told
    ) -> tuple[Floats, Bools]:
        """Return what is left for the plan at receptors, and where nothing is; each shape (R,).

        Parameters
        ----------
        limit : float
            In the unit that adds up.
        background : ndarray, shape (R,), or None
            The same.
        told : callable
            Says a value of that unit as people do.

        Raises
        ------
        StudyError
            Where what is there already breaks the limit and the rule says nothing of such places.
        """
        room = np.full(len(names), limit)
        if background is None:
            return room, np.zeros(len(names), dtype=bool)
        room = limit - background
        # Less than a thousandth of the limit is none.
        gone = room <= 1e-3 * limit
        if gone.any() and self.exceeded == "error":
            worst = np.argsort(-background * gone, kind="stable")[: min(3, int(gone.sum()))]
            listed = "; ".join(f"{names[k]}: {told(float(background[k]), own_limit)}" for k in worst)
            raise StudyError(
                f"{key}: what is there already breaks the limit at {int(gone.sum()):,} of {len(names):,} receptors ({listed}); "
                "raise the limit, leave these parcels out with `where`, or say exceeded = 'exclude' or 'own'"
            )
        return np.where(gone, limit, room), gone & (self.exceeded == "exclude")

    def exclude(self, model: Model, use: int, sites: Ints) -> None:
        """Let no new or converted building on some sites hold a use."""
        if len(sites):
            row = np.arange(len(sites))
            held = [(row, model.presence(kind, use)[sites], 1.0) for kind in ("new", "conv")]
            name = model.district.uses[use].name
            model.program.rows([f"{self.label}_no_{name}_{model.site_names[s]}" for s in sites], *held, upper=0.0)

    def receptors_of(self, evidence: Evidence, at: At, use: str) -> pd.DataFrame:
        """Return the receptors of buildings of chosen parcels that hold a use."""
        table = evidence.receptors[at]
        holds = (evidence.buildings[f"gfa_{use}"].to_numpy(dtype=float) > HOLDS) & evidence.chosen_buildings(
            self.where, self.label
        )
        return table[holds[table["building"].to_numpy(dtype=int)]]

    def known_background(self, table: pd.DataFrame, name: str | float | None) -> Floats | None:
        """Return what a plan's files say is there already at receptors; None for nothing."""
        if name is None:
            return None
        if isinstance(name, str):
            return np.asarray(table[f"background_{name}"].to_numpy(dtype=float))
        return np.full(len(table), float(name))

    def counted(
        self, evidence: Evidence, table: pd.DataFrame, background: Floats | None, limit: float
    ) -> tuple[Floats, Bools]:
        """Return the background that counts at receptors and which receptors are looked at, each shape (R,).

        Kept buildings where what is there already breaks the limit are looked at by nobody; where only the plan's own
        part counts there, the background counts as none. Both in the unit that adds up.
        """
        if background is None:
            return np.zeros(len(table)), np.ones(len(table), dtype=bool)
        gone = limit - background <= 1e-3 * limit
        if self.exceeded == "own":
            return np.where(gone, 0.0, background), np.ones(len(table), dtype=bool)
        building = table["building"].to_numpy(dtype=int)
        # Places that the plan does not build have no building, -1, and stand for themselves.
        kept = np.append((evidence.buildings["action"] == "keep").to_numpy(), False)[building]
        exposed = np.isin(building, building[gone])
        return np.where(gone & (building < 0), 0.0, background), ~((exposed & kept) | (gone & (building < 0)))


class Told:
    """Says a value and by how much it is above a limit."""

    def __init__(self, unit: str, levels: bool) -> None:
        self.unit, self.levels = unit, levels

    def __call__(self, value: float, limit: float) -> str:
        """Return the value in its unit and its margin over the limit."""
        shown = 10 * np.log10(max(value, 1e-9)) if self.levels else value
        return f"{shown:,.1f} {self.unit}, {shown - limit:,.1f} above {limit:g}"


def points_of(d: District, at: At, keep: Bools | None = None) -> tuple[list[str], Ints, Floats]:
    """Return names, sites and points of receptors, all or some."""
    names, site, xy = d.around.receptors(at)
    if keep is None:
        return names, site, xy
    return [name for name, kept in zip(names, keep, strict=True) if kept], site[keep], xy[keep]
