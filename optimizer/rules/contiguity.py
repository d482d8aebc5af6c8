"""Contiguity: the parcels that hold certain uses lie together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import shapely
from pydantic import Field, model_validator
from scipy.spatial.distance import cdist

from geodata.adjacency import GRID, connected_parts, neighbours, shared_borders
from geodata.sites import inner_points
from optimizer.errors import StudyError
from optimizer.rules.base import Check, Evidence, Names, NonNegative, Positive, Rule

if TYPE_CHECKING:
    import geopandas as gpd

    from optimizer.district import Floats, Ints
    from optimizer.model import Model

Count = Annotated[int, Field(ge=1)]
SOME = 0.01
"""Floor area from which a parcel holds a use, and less than which is put down to rounding, m²."""
LENGTH = 1e-2
"""Model units of one metre."""


class Contiguity(Rule):
    """The chosen parcels that hold certain uses form few connected parts, compact ones where asked.

    z_i = 1 where parcel i holds at least ``min_floor`` m² of the uses, today's, converted or new:
    z_i = e_i k_i + b_i + b'_i, with e_i = 1 where today's floor suffices, and new (converted) floors of plate a_i
    with N b_i <= sum of n_su <= N - 1 + (most - N + 1) b_i, N = ceil(min_floor / a_i).

    Parts, by a flow over neighbours, parcels within ``gap`` m of one another: every parcel sends z_i to roots,
    z_i + what flows in = what flows out + t_i; flows in <= (n_i - 1) z_i, t_i <= n_i r_i, r_i <= z_i, with n_i the
    parcels that i could form a part with; sum of r_i <= parts, and sum of r_i <= 0 over all but the ``roots``.
    Perimeter: sum of P_i z_i - 2 sum of S_ij y_ij <= max_perimeter, y_ij <= z_i, y_ij <= z_j, with each parcel's
    perimeter P and the border S that two parcels share (m); y is continuous.
    Radius: z_i <= sum of r_j over parcels j whose points lie within max_radius m of i's. With more than one part,
    x_ij says to which root each belongs: sum of x_ij = z_i over j in range, x_ij <= r_j = x_jj, and neighbours i, k
    belong together, x_ij <= x_kj + 1 - z_k; x is continuous.

    Exact; the flow is that of Shirabe (2005, Geographical Analysis 37, 2-16), who found problems of one part and fewer
    than about 200 parcels solved in fair time. Binaries: b, b' and r, at most three a parcel. Parcels that are not
    chosen count nowhere and connect nothing; where no parcel holds the uses the rule holds.
    Missed by parts beyond those allowed, by parts without a root, and by m of perimeter. No number is implied.
    """

    kind: ClassVar[str] = "contiguity"
    example: ClassVar[str] = 'kind = "contiguity"\nuses = ["workshop"]\nparts = 2\nprice = 0.01'
    stricter: ClassVar[Mapping[str, int]] = {"parts": -1, "gap": -1, "min_floor": 0}

    uses: Names = Field(description="uses whose parcels lie together")
    min_floor: Positive | None = Field(
        default=None, description="floor area of the uses from which a parcel counts, m²; any by default"
    )
    parts: Count = Field(default=1, description="most connected parts")
    gap: NonNegative = Field(default=25.0, description="how near neighbours are to one another, m: across a street")
    roots: Names | None = Field(default=None, description="ids of parcels; each part contains one that holds the uses")
    max_perimeter: Positive | None = Field(
        default=None, description="longest boundary of all parts together, borders they share left out, m"
    )
    max_radius: Positive | None = Field(
        default=None, description="furthest point of a part from that of its root, or of its best parcel, m"
    )

    @model_validator(mode="after")
    def _keys_make_sense(self) -> Contiguity:
        for key in ("uses", "roots"):
            named = getattr(self, key) or []
            if len(set(named)) < len(named):
                raise ValueError(f"{key} = {named}: one is named twice")
        if self.price is not None and self.max_radius is not None:
            raise ValueError(
                "max_radius has no price: where parts may be exceeded, whose radius is missed is not settled; leave "
                "price out, or give max_radius in a rule of its own"
            )
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses whose parcels lie together."""
        return [(f"uses[{i}]", use) for i, use in enumerate(self.uses)]

    @property
    def _least(self) -> float:
        """Floor area from which a parcel counts, m²."""
        return max((self.min_floor or 0.0) - SOME, SOME)

    def constrain(self, model: Model) -> None:
        """Add which parcels hold the uses, the flow that connects them, and rows for perimeter and radius."""
        d = model.district
        at, holds = self._holding(model)
        ids = d.parcels["parcel_id"].to_numpy()
        allowed = self._roots(ids[d.select(self.where, self.label)], ids)[at]
        if not len(at):
            return
        pairs = neighbours(d.parcels.geometry.to_numpy()[at], self.gap)
        if self.parts < len(at) or self.roots is not None or self.max_radius is not None:
            root = self._connect(model, ids[at], holds, pairs, allowed)
            if self.max_radius is not None:
                distance = _distances(d.parcels.iloc[at])
                if self.parts == 1:
                    self._around_one(model, ids[at], holds, root, distance)
                else:
                    self._around_each(model, ids[at], holds, root, distance, pairs)
        if self.max_perimeter is not None:
            self._outline(model, at, holds)

    def _roots(self, chosen: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Return which parcels may be roots, shape (P,)."""
        if self.roots is None:
            return np.ones(len(ids), dtype=bool)
        for name in self.roots:
            if name not in chosen:
                known = "the rule's where does not choose it" if name in ids else "the district does not have it"
                raise StudyError(f"rules ({self.label}): roots names parcel {name!r}; {known}")
        return np.isin(ids, self.roots)

    def _holding(self, model: Model) -> tuple[Ints, Ints]:
        """Return the parcels that can hold the uses and columns, 0 or 1, that say whether they do."""
        d, program = model.district, model.program
        use = [d.use_index[u] for u in self.uses]
        chosen = d.select(self.where, self.label)
        free = chosen & ~d.parcels["protected"].to_numpy(dtype=bool)
        kept = chosen & (d.existing[:, use].sum(axis=1) >= self._least)
        first = np.unique(d.parcel_of, return_index=True)[1]
        plate, storeys = d.plate[first], d.storey_limit[:, use].max(axis=1)
        room = np.floor((d.max_far + d.extra_far) * d.site_area / np.maximum(plate, SOME) + 1e-9)
        most = np.minimum(np.bincount(d.parcel_of, storeys, minlength=len(chosen)), room)
        parts = [
            self._holding_by(model, "new", model.new[:, use], plate, np.where(free, most, 0.0), model.redevelop),
            self._holding_by(
                model,
                "conv",
                model.converted[:, use],
                d.plate_today[first],
                np.where(free, d.storeys_today * d.sites_on, 0.0),
                model.convert,
            ),
        ]
        can = kept.copy()
        for at, _ in parts:
            can[at] = True
        members = np.flatnonzero(can)
        place = np.full(len(chosen), -1)
        place[members] = rows = np.arange(len(members))
        names = [f"{self.label}_holds_{i}" for i in d.parcels["parcel_id"].iloc[members]]
        holds = program.columns(names, upper=1.0)
        program.rows(
            names,
            (rows, holds, 1.0),
            (rows, model.keep[members], np.where(kept[members], -1.0, 0.0)),
            *((place[at], held, -1.0) for at, held in parts),
            lower=0.0,
            upper=0.0,
        )
        return members, holds

    def _holding_by(
        self, model: Model, kind: str, floors: Ints, plate: Floats, most: Floats, action: Ints
    ) -> tuple[Ints, Ints]:
        """Return the parcels that can hold the uses in one kind of floor, and binary columns that say whether they do.

        Parameters
        ----------
        floors : ndarray of int, shape (S, uses)
            Columns.
        plate, most, action : ndarray, shape (P,)
            m² of one floor, most floors, and the column of the action.
        """
        d, program = model.district, model.program
        least = np.ceil(self._least / np.maximum(plate, SOME) - 1e-9)
        at = np.flatnonzero(most >= least)
        least, most = least[at], most[at]
        rows, place = np.arange(len(at)), np.full(len(d.parcels), -1)
        place[at] = rows
        names = [f"{self.label}_{kind}_{i}" for i in d.parcels["parcel_id"].iloc[at]]
        held = program.columns(names, upper=1.0, integer=True)
        sites = np.flatnonzero(place[d.parcel_of] >= 0)
        number = (place[d.parcel_of[sites], None], floors[sites], 1.0)
        program.rows([f"{n}_least" for n in names], number, (rows, held, -least), lower=0.0)
        program.rows([f"{n}_most" for n in names], number, (rows, held, least - 1.0 - most), upper=least - 1.0)
        program.rows([f"{n}_action" for n in names], (rows, held, 1.0), (rows, action[at], -1.0), upper=0.0)
        return at, held

    def _connect(self, model: Model, ids: np.ndarray, holds: Ints, pairs: Ints, allowed: np.ndarray) -> Ints:
        """Add the flow that connects each part to a root; return the roots' columns, one a parcel."""
        program, rows = model.program, np.arange(len(ids))
        part = connected_parts(len(ids), pairs)
        size = np.bincount(part)[part].astype(float)
        tail, head = np.concatenate([pairs, pairs[:, ::-1]]).T
        flow = program.columns([f"{self.label}_flow_{ids[a]}_{ids[b]}" for a, b in zip(tail, head, strict=True)])
        root = program.columns([f"{self.label}_root_{i}" for i in ids], upper=1.0, integer=True)
        taken = program.columns([f"{self.label}_taken_{i}" for i in ids])
        program.rows(
            [f"{self.label}_sent_{i}" for i in ids],
            (rows, holds, 1.0),
            (head, flow, 1.0),
            (tail, flow, -1.0),
            (rows, taken, -1.0),
            lower=0.0,
            upper=0.0,
        )
        program.rows([f"{self.label}_passes_{i}" for i in ids], (head, flow, 1.0), (rows, holds, 1.0 - size), upper=0.0)
        program.rows([f"{self.label}_takes_{i}" for i in ids], (rows, taken, 1.0), (rows, root, -size), upper=0.0)
        program.rows([f"{self.label}_root_{i}" for i in ids], (rows, root, 1.0), (rows, holds, -1.0), upper=0.0)
        self.rows(model, ["parts"], (0, root, 1.0), upper=float(self.parts))
        if not allowed.all():
            self.rows(model, ["rootless"], (0, root[~allowed], 1.0), upper=0.0)
        return root

    def _around_one(self, model: Model, ids: np.ndarray, holds: Ints, root: Ints, distance: Floats) -> None:
        """Keep every parcel within the radius of the only root."""
        i, j = np.nonzero(self._within(distance))
        model.program.rows(
            [f"{self.label}_radius_{n}" for n in ids],
            (np.arange(len(ids)), holds, 1.0),
            (i, root[j], -1.0),
            upper=0.0,
        )

    def _around_each(
        self, model: Model, ids: np.ndarray, holds: Ints, root: Ints, distance: Floats, pairs: Ints
    ) -> None:
        """Assign every parcel to a root within the radius, neighbours to the same one."""
        program = model.program
        near = self._within(distance)
        i, j = np.nonzero(near)
        names = [f"{self.label}_belongs_{ids[a]}_{ids[b]}" for a, b in zip(i, j, strict=True)]
        belongs = program.columns(names, upper=1.0)
        column = np.full(near.shape, -1)
        column[i, j] = belongs
        rows = np.arange(len(ids))
        program.rows(
            [f"{self.label}_belongs_{n}" for n in ids], (i, belongs, 1.0), (rows, holds, -1.0), lower=0.0, upper=0.0
        )
        each = np.arange(len(i))
        program.rows(
            names, (each, belongs, 1.0), (each, root[j], -1.0), lower=np.where(i == j, 0.0, -np.inf), upper=0.0
        )
        own, other = np.concatenate([pairs, pairs[:, ::-1]]).T
        pair, at = np.nonzero(near[own])
        a, b = own[pair], other[pair]
        together = np.arange(len(pair))
        both = np.flatnonzero(column[b, at] >= 0)
        program.rows(
            [f"{self.label}_together_{ids[x]}_{ids[y]}_{ids[z]}" for x, y, z in zip(a, b, at, strict=True)],
            (together, column[a, at], 1.0),
            (both, column[b, at][both], -1.0),
            (together, holds[b], 1.0),
            upper=1.0,
        )

    def _within(self, distance: Floats) -> np.ndarray:
        return np.asarray(distance <= float(self.max_radius or 0.0) + GRID)

    def _outline(self, model: Model, at: Ints, holds: Ints) -> None:
        """Limit the perimeter of all parcels that hold the uses."""
        d = model.district
        shapes, ids = d.parcels.geometry.to_numpy()[at], d.parcels["parcel_id"].to_numpy()[at]
        pairs = neighbours(shapes, 0.0)
        shared = shared_borders(shapes, pairs)
        pairs, shared = pairs[shared > 0], shared[shared > 0]
        names = [f"{self.label}_border_{ids[a]}_{ids[b]}" for a, b in pairs]
        border = model.program.columns(names, upper=1.0)
        rows = np.arange(len(pairs))
        for side in (0, 1):
            model.program.rows(
                [f"{name}_{side}" for name in names],
                (rows, border, 1.0),
                (rows, holds[pairs[:, side]], -1.0),
                upper=0.0,
            )
        self.rows(
            model,
            ["perimeter"],
            (0, holds, shapely.length(shapes) * LENGTH),
            (0, border, -2.0 * shared * LENGTH),
            upper=float(self.max_perimeter or 0.0) * LENGTH,
            unit=LENGTH,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find the connected parts of the parcels that hold the uses and measure them."""
        table = evidence.parcels
        floor = table[[f"gfa_{u}" for u in self.uses]].sum(axis=1).to_numpy(dtype=float)
        held = table[evidence.chosen(self.where, self.label) & (floor >= self._least)]
        if held.empty:
            return
        shapes = held.geometry.to_numpy()
        part = connected_parts(len(held), neighbours(shapes, self.gap))
        count = int(part.max()) + 1
        yield from self.verdict(["parcels that hold the uses"], float(count), float(self.parts), "parts")
        rooted = np.ones(len(held), dtype=bool) if self.roots is None else held.index.isin(self.roots)
        if self.roots is not None:
            without = float(count - len(np.unique(part[rooted])))
            yield from self.verdict(["parcels that hold the uses"], without, 0.0, "parts without a root")
        if self.max_radius is not None:
            scopes, radii = [], []
            for k in range(count):
                inside = np.flatnonzero(part == k)
                centres = inside[rooted[inside]] if rooted[inside].any() else inside
                scopes.append(f"part of {held.index[inside[0]]}")
                radii.append(_distances(held)[np.ix_(centres, inside)].max(axis=1).min())
            yield from self.verdict(scopes, radii, self.max_radius, "m of radius", absolute=2 * GRID)
        if self.max_perimeter is not None:
            touching = neighbours(shapes, 0.0)
            length = float(shapely.length(shapes).sum() - 2.0 * shared_borders(shapes, touching).sum())
            yield from self.verdict(["parcels that hold the uses"], length, self.max_perimeter, "m of perimeter")


def _distances(parcels: gpd.GeoDataFrame) -> Floats:
    """Return straight distances between the points of parcels, m, shape (P, P)."""
    xy = inner_points(parcels)
    return np.asarray(cdist(xy, xy))
