"""Siting: facilities of a use stand where their clients reach them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import sparse
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from optimizer.errors import StudyError
from optimizer.rules.base import HOLDS, Check, Evidence, Names, Positive, Rule, Share
from optimizer.service import NEAR, Served, Service, Terms

if TYPE_CHECKING:
    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model


Count = Annotated[int, Field(ge=0)]

SERVED = 1e-6
"""Weight of a client above which it is served somewhere."""
MOST_STOREYS = 200.0
"""Storeys of a building that only its floor-area ratio bounds."""


class Siting(Rule):
    """Facilities of a use are sited so that their clients reach them.

    A building j of `candidates` is a facility, y_j = 1, where it holds one of the uses `use`. A building i of `where`
    is a client of weight w_i: 1 whatever it holds (``clients = "buildings"``), 1 where it holds one of the uses
    `clients`, or their floor area (m², ``client_weight = "floor_area"``). Distances d_ij (m) are walked from door to
    door, or straight between the sites' points (``metric``); 0 within a building. x_ij is the weight of i served at j
    and e_i that served nowhere, which counts at distance F:

        sum over j of x_ij + e_i = w_i,  0 <= x_ij <= W_i y_j,
        sum over i of x_ij <= capacity y_j where one is given,

    with W_i the most that i can weigh. Without a capacity each client goes to the nearest facility. With one, weights
    are divided among facilities in the way that is best for the rule. F is `reach`, beyond which nobody is served;
    without it twice the greatest distance from a client to a candidate, or twice a radius or limit that is longer.

    What `goal` adds to the score, with D_i the distance of client i (w_i D_i = sum over j of x_ij d_ij + e_i F), R the
    greatest of them, J candidates, and W the number of buildings of `where`, or the sum of W_i where floor is counted:

        median     weight (1/W) sum over i of w_i (1 - D_i / F)
        centre     weight (1 - R / F)
        cover      weight (1/W) sum of w_i over clients within `radius`
        cover_all  weight (1 - (1/J) sum of y_j), no client beyond `radius`

    Each lies in [0, weight], and clients that a plan adds near facilities add to it. A goal without a weight is only
    reported; cover_all holds in any case. Limits:

        min_count <= sum of y_j <= max_count
        y_j = 1 where the use stands today (`keep_existing`)
        sum of w_i D_i <= max_mean_distance sum of w_i
        D_i <= max_distance where w_i > 0
        sum of w_i over clients within `radius` >= min_covered sum of w_i

    Missed by facilities (counts, and those that should have stayed), by clients in their weight (`min_covered`,
    cover_all), and by clients in their weight times metres (`max_mean_distance`, and `max_distance` client by client).

    Two binaries a building and use named (new and converted floors). Cover, cover_all and a hard max_distance need a
    row or two a client; median, centre, max_mean_distance, a priced max_distance and a capacity a continuous column and
    a row for each pair of client and candidate: where at least p facilities must stand, for a client's n - p + 1
    nearest of n candidates. Where at most p may stand and every building is a client, R is no less than the least
    radius within which p facilities, taken in fractions, reach all: the bound of Elloumi, Labbe and Pochet (2004).

    The p-median and p-centre problems (Hakimi 1964), maximal covering (Church and ReVelle 1974) and set covering
    (Toregas and others 1971).
    """

    kind: ClassVar[str] = "siting"
    example: ClassVar[str] = 'kind = "siting"\nuse = "services"\ngoal = "median"\nweight = 0.2\nmin_count = 1'

    use: str | Names = Field(description="use of the facilities, or several that count as one service")
    goal: Literal["median", "centre", "cover", "cover_all"] | None = Field(
        default=None,
        description="median (least mean distance), centre (least greatest distance), cover (most clients within "
        "radius) or cover_all (fewest facilities that leave no client beyond radius)",
    )
    weight: Positive | None = Field(default=None, description="most score that the goal adds")
    count: Count | None = Field(default=None, description="number of buildings that hold the use, kept ones included")
    min_count: Count | None = Field(default=None, description="least number of such buildings")
    max_count: Count | None = Field(default=None, description="most number of such buildings")
    candidates: str | list[str] | None = Field(
        default=None,
        description="parcels whose buildings count as facilities: an expression or a list of ids; all by default. "
        "`where` chooses those of the clients",
    )
    clients: str | Names = Field(
        default="buildings",
        description="buildings (each counts one, whatever the plan holds), or uses whose presence makes a client",
    )
    client_weight: Literal["buildings", "floor_area"] = Field(
        default="buildings", description="what is counted of a client: the building, or its floor area of these uses"
    )
    metric: Literal["walking", "straight"] = Field(
        default="walking", description="walking from door to door, or straight between the sites' points"
    )
    radius: Positive | None = Field(default=None, description="distance within which a client is covered, m")
    reach: Positive | None = Field(
        default=None, description="distance beyond which nobody is served, at which the unserved count, m"
    )
    capacity: Positive | None = Field(
        default=None, description="clients, in their weight (buildings or m²), that one facility building serves"
    )
    keep_existing: bool = Field(default=False, description="whether facilities that stand today stay in the use")
    max_mean_distance: Positive | None = Field(default=None, description="most mean distance of clients, m")
    max_distance: Positive | None = Field(default=None, description="most distance of any client, m")
    min_covered: Share | None = Field(default=None, description="least share of clients within radius")

    @model_validator(mode="after")
    def _measures_complete(self) -> Siting:
        limits = ("count", "min_count", "max_count", "max_mean_distance", "max_distance", "min_covered")
        given = [key for key in limits if getattr(self, key) is not None]
        if self.weight is not None and self.goal is None:
            raise ValueError(
                f"weight = {self.weight:g} is given without a goal; say median, centre, cover or cover_all"
            )
        if self.weight is None and not given and not self.keep_existing and self.goal != "cover_all":
            raise ValueError(
                f"neither weight nor a limit is given; give weight and goal, or one of {', '.join(limits)}"
            )
        if self.count is not None and (self.min_count is not None or self.max_count is not None):
            raise ValueError(f"count = {self.count} leaves no room for min_count or max_count; leave them out")
        if self._least > self._most:
            raise ValueError(f"min_count = {self.min_count} is above max_count = {self.max_count}")
        for key in ("use", "clients"):
            names = _listed(getattr(self, key))
            if len(set(names)) < len(names):
                raise ValueError(f"{key} = {names}: a use is named twice")
        return self

    @model_validator(mode="after")
    def _distances_in_order(self) -> Siting:
        covers = self.goal in ("cover", "cover_all") or self.min_covered is not None
        if covers and self.radius is None:
            raise ValueError("radius is missing; goal = 'cover', goal = 'cover_all' and min_covered need it")
        if self.radius is not None and not covers:
            raise ValueError(f"radius = {self.radius:g} is of no effect; it goes with cover, cover_all and min_covered")
        for key in ("radius", "max_distance", "max_mean_distance"):
            value = getattr(self, key)
            if self.reach is not None and value is not None and value >= self.reach:
                raise ValueError(f"{key} = {value:g} is not below reach = {self.reach:g}, at which the unserved count")
        return self

    @model_validator(mode="after")
    def _weights_agree(self) -> Siting:
        if self.client_weight == "floor_area" and not self._client_uses:
            raise ValueError("client_weight = 'floor_area' needs clients = [...], the uses whose floor area is counted")
        if self.goal == "centre" and self.client_weight == "floor_area":
            raise ValueError("goal = 'centre' counts buildings, however large; leave client_weight out")
        if self.goal == "centre" and self.capacity is not None:
            raise ValueError("goal = 'centre' takes no capacity; hold clients to max_distance instead")
        if self.capacity is not None and not self._serves:
            raise ValueError(f"capacity = {self.capacity:g} is of no effect; give a goal or a limit of distances")
        return self

    @property
    def _uses(self) -> list[str]:
        return _listed(self.use)

    @property
    def _client_uses(self) -> list[str]:
        return [] if self.clients == "buildings" else _listed(self.clients)

    @property
    def _least(self) -> int:
        return self.count if self.count is not None else self.min_count or 0

    @property
    def _most(self) -> float:
        most = self.count if self.count is not None else self.max_count
        return np.inf if most is None else float(most)

    @property
    def _serves(self) -> bool:
        """Whether anything but numbers of facilities is asked."""
        limits = (self.max_mean_distance, self.max_distance, self.min_covered)
        return self.goal is not None or any(limit is not None for limit in limits)

    @property
    def _least_covered(self) -> float | None:
        return 1.0 if self.goal == "cover_all" else self.min_covered

    @property
    def most_reward(self) -> float:
        """The weight of the goal."""
        return self.weight or 0.0

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses of facilities and clients."""
        found = []
        for key, names in (("use", self._uses), ("clients", self._client_uses)):
            listed = isinstance(getattr(self, key), list)
            found += [(f"{key}[{i}]" if listed else key, name) for i, name in enumerate(names)]
        return found

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find numbers of the same facilities that exclude one another."""
        for rule in rules:
            if (
                isinstance(rule, Siting)
                and rule.price is None
                and self.price is None
                and set(rule._uses) == set(self._uses)
                and rule.candidates == self.candidates
                and self._least > rule._most
            ):
                return (
                    f"rules ({self.label}, {rule.label}): at least {self._least} buildings hold {self.use!r} by one rule, "
                    f"at most {rule._most:g} by the other"
                )
        return None

    def constrain(self, model: Model) -> None:
        """Add y, the limits of numbers and, where distances are asked, who is served where."""
        from optimizer.model import SCORE

        d = model.district
        client, site = self._sites(d, self.where, "where"), self._sites(d, self.candidates, "candidates")
        able = _able(d, self._uses)[site]
        holds = self._any(model, self._uses, site[able], "facility")
        self._numbers(model, site[able], holds)
        if self.weight is not None and self.goal in ("centre", "cover_all"):
            model.program.columns([f"{self.label}_whole"], lower=1.0, upper=1.0, cost=SCORE * self.weight)
        if self.weight is not None and self.goal == "cover_all":
            model.program.reward(holds, np.full(len(holds), -SCORE * self.weight / len(site)))
        if self._serves:
            service = self._service(model, client, site, able, holds)
            self._score(model, service)
            self._limit(model, service)

    def _sites(self, d: District, where: str | list[str] | None, key: str) -> Ints:
        chosen = d.select(where, f"{self.label}.{key}")[d.parcel_of]
        if not chosen.any():
            raise StudyError(f"rules ({self.label}): {key} = {where!r} is true of no parcel")
        return np.flatnonzero(chosen)

    def _any(self, model: Model, uses: list[str], site: Ints, kind: str) -> Ints:
        """Columns that are 1 where a building holds one of some uses, else 0, shape (sites,)."""
        program = model.program
        names = [f"{self.label}_{kind}_{model.site_names[s]}" for s in site]
        holds = program.columns(names, upper=1.0)
        rows = np.arange(len(site))
        held: list[Terms] = [
            [(rows, column[site], -part[site]) for column, part in model.holding(u, exact=True)]
            for u in (model.district.use_index[use] for use in uses)
        ]
        alone = len(uses) == 1
        terms = [term for of_use in held for term in of_use]
        program.rows(names, (rows, holds, 1.0), *terms, lower=0.0 if alone else -np.inf, upper=0.0)
        for use, of_use in zip(uses, held, strict=True):
            if not alone:
                program.rows([f"{name}_{use}" for name in names], (rows, holds, 1.0), *of_use, lower=0.0)
        return holds

    def _numbers(self, model: Model, site: Ints, holds: Ints) -> None:
        """Add the limits of how many facilities stand, and that today's stay."""
        d = model.district
        if self._least > 0:
            self.rows(model, ["min_count"], (0, holds, 1.0), lower=float(self._least))
        if np.isfinite(self._most):
            self.rows(model, ["max_count"], (0, holds, 1.0), upper=self._most)
        if self.keep_existing:
            stands = np.flatnonzero(d.existing_at[site][:, [d.use_index[u] for u in self._uses]].sum(axis=1) > 0)
            names = [f"stays_{model.site_names[s]}" for s in site[stands]]
            self.rows(model, names, (np.arange(len(stands)), holds[stands], 1.0), lower=1.0)

    def _service(self, model: Model, client: Ints, site: Ints, able: Bools, holds: Ints) -> Service:
        """Add the clients' weights and, where distances are added up, who is served where."""
        added_up = (self.goal in ("median", "centre") and self.weight) or self.max_mean_distance or self.capacity
        paired = bool(added_up or (self.max_distance and self.price))
        near = np.inf if paired else max(self.radius or 0.0, self.max_distance or 0.0)
        i, j, distance = self._pairs(model.district, client, site, min(near, self.reach or np.inf))
        far = self._far(distance)
        amount, most = self._amount(model, client)
        i, j, distance = i[able[j]], (np.cumsum(able) - 1)[j[able[j]]], distance[able[j]]
        order = np.lexsort((distance, i))
        service = Service(
            program=model.program,
            label=self.label,
            names=[model.site_names[s] for s in client],
            amount=amount,
            most=most,
            i=i[order],
            j=j[order],
            distance=distance[order],
            holds=holds,
            far=far,
            certain=np.zeros(len(client), dtype=bool),
        )
        if self.price is None and self.capacity is None and self._least > 0:
            service.nearest_first(self._least)
        if paired:
            service.serve(None if self.capacity is None else self.capacity * self._unit)
        return service

    @property
    def _unit(self) -> float:
        """Model units of one unit of clients' weight."""
        from optimizer.model import AREA

        return AREA if self.client_weight == "floor_area" else 1.0

    def _amount(self, model: Model, client: Ints) -> tuple[Ints, Floats]:
        """Columns of the clients' weights and the most of each, model units, shape (clients,)."""
        d, program = model.district, model.program
        names = [f"{self.label}_client_{model.site_names[s]}" for s in client]
        if not self._client_uses:
            return program.columns(names, lower=1.0, upper=1.0), np.ones(len(client))
        if self.client_weight == "buildings":
            return self._any(model, self._client_uses, client, "client"), np.ones(len(client))
        amount = program.columns(names)
        row = np.full(len(d.sites), -1)
        row[client] = np.arange(len(client))
        counted = np.array([float(use.name in self._client_uses) for use in d.uses])
        terms: Terms = [*model.weighted_floor(counted, row), (np.arange(len(client)), amount, -1.0)]
        program.rows(names, *terms, lower=0.0, upper=0.0)
        storeys = d.storey_limit[:, [d.use_index[u] for u in self._client_uses]].max(axis=1)
        return amount, np.maximum(storeys * d.plate, d.existing_at.sum(axis=1))[client] * self._unit

    def _pairs(self, d: District, client: Ints, site: Ints, limit: float) -> tuple[Ints, Ints, Floats]:
        """Return rows of clients and candidates, and the distances between them within a limit, m."""
        from geodata.walking import walking_distance

        if self.metric == "straight":
            straight = cdist(d.xy[client], d.xy[site])
            i, j = np.nonzero(straight <= limit + NEAR)
            return i, j, straight[i, j]
        walks = walking_distance(d.network, limit + NEAR)[client][:, site].tocoo()
        known = np.isfinite(walks.data)
        _, own, same = np.intersect1d(client, site, assume_unique=True, return_indices=True)
        return (
            np.concatenate([walks.row[known], own]).astype(np.int64),
            np.concatenate([walks.col[known], same]).astype(np.int64),
            np.concatenate([walks.data[known], np.zeros(len(own))]),
        )

    def _far(self, distance: Floats) -> float:
        """Return the distance at which the unserved count, m; all finite distances are given."""
        if self.reach is not None:
            return self.reach
        limits = (self.radius or 0.0, self.max_distance or 0.0, self.max_mean_distance or 0.0)
        return max(2.0 * max(float(distance.max(initial=0.0)), *limits), 1.0)

    def _score(self, model: Model, s: Service) -> None:
        """Let the goal's term add to the objective."""
        from optimizer.model import SCORE

        if self.weight is None or self.goal == "cover_all":
            return
        if self.goal == "centre":
            bounded = self.price is None and not self._client_uses and np.isfinite(self._most) and len(s.holds) > 0
            s.greatest(SCORE * self.weight / s.far, s.least_greatest(self._most) if bounded else 0.0)
            return
        each = SCORE * self.weight / (float(s.most.sum()) or 1.0)
        if self.goal == "cover" and self.radius is not None:
            model.program.reward(s.covered(self.radius), np.full(len(s.names), each))
            return
        for _, column, lost in ((s.rows, s.amount, -s.far), *s.excess(0.0)):
            model.program.reward(column, np.broadcast_to(-each / s.far * np.asarray(lost), len(column)))

    def _limit(self, model: Model, s: Service) -> None:
        """Add the limits of distances and of what is covered."""
        if self.max_mean_distance is not None:
            terms = [(0, column, part) for _, column, part in s.excess(0.0)]
            terms.append((0, s.amount, -self.max_mean_distance))
            self.rows(model, ["mean_distance"], *terms, upper=0.0, unit=self._unit)
        if self.max_distance is not None:
            names = [f"distance_{n}" for n in s.names]
            if self.price is None:
                reached = [(row, column, -part) for row, column, part in s.reached(self.max_distance)]
                self.rows(model, names, (s.rows, s.amount, 1.0), *reached, upper=0.0)
            else:
                self.rows(model, names, *s.excess(self.max_distance), upper=0.0, unit=self._unit)
        if self._least_covered == 1.0 and self.radius is not None:
            reached = [(row, column, -part) for row, column, part in s.reached(self.radius)]
            names = [f"all_{n}" for n in s.names]
            self.rows(model, names, (s.rows, s.amount, 1.0), *reached, upper=0.0, unit=self._unit)
        elif self._least_covered is not None and self.radius is not None:
            terms = [(0, s.covered(self.radius), 1.0), (0, s.amount, -self._least_covered)]
            self.rows(model, ["covered"], *terms, lower=0.0, unit=self._unit)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Count facilities, find what serves each client, and compare."""
        holds, names = self._held(evidence), np.array(evidence.building_names, dtype=object)
        candidate = evidence.chosen_buildings(self.candidates, f"{self.label}.candidates")
        count = float((holds & candidate).sum())
        unit = f"buildings with {' or '.join(self._uses)}"
        if self._least > 0:
            yield from self.verdict(["facilities"], count, self._least, unit, ">=")
        if np.isfinite(self._most):
            yield from self.verdict(["facilities"], count, self._most, unit)
        if self.keep_existing:
            column = [list(evidence.uses).index(use) for use in self._uses]
            stood = candidate & (evidence.today()[:, column].sum(axis=1) > 0)
            yield from self.verdict(list(names[stood]), holds[stood].astype(float), 1.0, unit, ">=")
        if not self._serves:
            return
        found = self._found(evidence)
        weight = found.weight.sum()
        clients = f"m² of {' and '.join(self._client_uses)}" if self.client_weight == "floor_area" else "clients"
        if self.max_mean_distance is not None and weight > 0:
            total = float(found.amount @ found.distance)
            missed = total - self.max_mean_distance * weight
            yield from self.verdict(
                ["mean distance"],
                total / weight,
                self.max_mean_distance,
                "m",
                missed=missed,
                missed_unit=f"{clients} x m",
            )
        if self.max_distance is not None:
            present = found.weight > 0
            beyond = found.by_client(found.amount * np.maximum(found.distance - self.max_distance, 0.0))
            yield from self.verdict(
                list(found.names[present]),
                found.greatest()[present],
                self.max_distance,
                "m",
                missed=beyond[present],
                missed_unit=f"{clients} x m",
            )
        if self._least_covered is not None and weight > 0:
            covered = found.covered(self.radius)
            yield from self.verdict(
                [f"within {self.radius:g} m"],
                covered / weight,
                self._least_covered,
                "of clients",
                ">=",
                missed=self._least_covered * weight - covered,
                missed_unit=clients,
            )
        yield from self._report(found, count, int(candidate.sum()), unit)

    def _report(self, found: Served, count: float, candidates: int, unit: str) -> Iterator[Check]:
        """Say what the goal came to, beside the worst that it can come to."""
        weight = found.weight.sum()
        if self.goal == "cover_all":
            yield from self.verdict(["fewest facilities"], count, candidates, unit)
        elif self.goal is not None and weight > 0:
            if self.goal == "median":
                mean = float(found.amount @ found.distance) / weight
                yield from self.verdict(["least mean distance"], mean, found.far, "m")
            elif self.goal == "centre":
                yield from self.verdict(["least greatest distance"], found.greatest().max(), found.far, "m")
            else:
                share = found.covered(self.radius) / weight
                yield from self.verdict([f"most within {self.radius:g} m"], share, 0.0, "of clients", ">=")

    def reward(self, evidence: Evidence) -> float:
        """Return what the goal adds to the score."""
        if self.weight is None or self.goal is None:
            return 0.0
        if self.goal == "cover_all":
            candidate = evidence.chosen_buildings(self.candidates, f"{self.label}.candidates")
            return self.weight * (1.0 - float((self._held(evidence) & candidate).sum()) / float(candidate.sum()))
        found = self._found(evidence)
        if self.goal == "centre":
            return self.weight * (1.0 - float(found.greatest().max()) / found.far)
        if self.goal == "cover":
            return self.weight * found.covered(self.radius) / found.whole
        return self.weight * float(found.amount @ (1.0 - found.distance / found.far)) / found.whole

    def _held(self, evidence: Evidence) -> Bools:
        """Return which buildings hold a facility, shape (S,)."""
        area = evidence.buildings[[f"gfa_{use}" for use in self._uses]].to_numpy(dtype=float)
        return np.asarray(area.max(axis=1) > HOLDS)

    def _found(self, evidence: Evidence) -> Served:
        """Return who is served where: all at the nearest facility, or divided where there is a capacity."""
        table = evidence.buildings
        client = np.flatnonzero(evidence.chosen_buildings(self.where, self.label))
        candidates = evidence.chosen_buildings(self.candidates, f"{self.label}.candidates")
        facilities = self._held(evidence) & candidates
        # Only where no reach is stated do candidates without a facility say how far the unserved count.
        end = np.flatnonzero(candidates if self.reach is None else facilities)
        reach = (self.reach or np.inf) + NEAR
        if self.metric == "straight":
            xy = table[["x", "y"]].to_numpy(dtype=float)
            distance = cdist(xy[client], xy[end])
            distance[distance > reach] = np.inf
        else:
            distance = np.full((len(client), len(end)), np.inf)
            every = np.arange(len(table))
            i, j, walk = evidence.doors.pairs_to(np.isin(every, client), np.isin(every, end), reach)
            distance[np.searchsorted(client, i), np.searchsorted(end, j)] = walk
        weight, whole = np.ones(len(client)), float(len(client))
        if self._client_uses:
            area = table[[f"gfa_{use}" for use in self._client_uses]].to_numpy(dtype=float)[client].sum(axis=1)
            weight = np.where(area > HOLDS, area, 0.0)
        if self.client_weight == "floor_area":
            whole = float(self._most_floor(evidence)[client].sum()) or 1.0
        elif self._client_uses:
            weight = np.sign(weight)
        found = Served(
            names=np.array(evidence.building_names, dtype=object)[client],
            weight=weight,
            client=np.arange(len(client)),
            amount=weight,
            distance=np.zeros(len(client)),
            far=self._far(distance[np.isfinite(distance)]),
            whole=whole,
        )
        at_facility = distance[:, facilities[end]]
        if self.capacity is not None:
            return self._divided(found, at_facility)
        nearest = at_facility.min(axis=1, initial=np.inf)
        return replace(found, distance=np.where(np.isfinite(nearest), nearest, found.far))

    def _most_floor(self, evidence: Evidence) -> Floats:
        """Return the most floor area of the clients' uses that each building can hold, m², shape (S,), from facts."""
        facts = evidence.parcels.reset_index()
        extra = sum((rule.extra_far(facts) for rule in evidence.rules), np.zeros(len(facts)))
        parcel = evidence.parcels.assign(most_far=facts["max_far"].to_numpy(dtype=float) + extra)
        parcel = parcel.loc[evidence.buildings["parcel_id"]]
        plate = parcel["coverage"].to_numpy(dtype=float) * evidence.land()
        least = min(evidence.uses[use].storey_height for use in self._client_uses)
        storeys = [
            np.full(len(parcel), MOST_STOREYS),
            parcel["max_floors"].to_numpy(dtype=float),
            parcel["max_height"].to_numpy(dtype=float) / least,
            (parcel["most_far"] * parcel["site_area"]).to_numpy(dtype=float) / plate,
        ]
        room = np.floor(np.nanmin(storeys, axis=0) + 1e-9) * plate
        return np.asarray(np.maximum(room, evidence.today().sum(axis=1)))

    def _divided(self, found: Served, distance: Floats) -> Served:
        """Divide clients among facilities, distances of shape (clients, facilities), in the best way for the rule.

        A linear program; where a hard limit cannot be kept, clients are divided so that the rule is missed least.
        """
        i, j = np.nonzero(np.isfinite(distance) & (found.weight > 0)[:, None])
        clients, facilities, total = *distance.shape, float(found.weight.sum())
        owner = np.concatenate([i, np.arange(clients)])
        d = np.concatenate([distance[i, j], np.full(clients, found.far)])
        near = d <= (self.radius or 0.0) + NEAR
        credit = 1.0 - d / found.far if self.goal == "median" else np.where(near, float(self.goal == "cover"), 0.0)
        excess = np.maximum(d - (self.max_distance or np.inf), 0.0)
        # The last two columns say by how much the mean distance and the share covered are missed.
        n = len(d) + 2
        limits = np.zeros((2, n))
        limits[0, :-2], limits[1, :-2] = d, np.where(near, -1.0, 0.0)
        limits[0, -2] = limits[1, -1] = -1.0
        served = sparse.coo_matrix((np.ones(len(j)), (j, np.arange(len(j)))), shape=(facilities, n))
        bounds = [self.capacity] * facilities
        bounds += [(self.max_mean_distance or found.far) * total, -(self._least_covered or 0.0) * total]

        def best(worth: float, price: float, most: Floats) -> Any:
            return linprog(
                np.concatenate([price * excess - worth * credit, [price, price]]),
                A_ub=sparse.vstack([served, sparse.coo_matrix(limits)]),
                b_ub=bounds,
                A_eq=sparse.coo_matrix((np.ones(len(d)), (owner, np.arange(len(d)))), shape=(clients, n)),
                b_eq=found.weight,
                bounds=np.column_stack([np.zeros(n), most]),
                method="highs",
            )

        free = np.full(n, np.inf)
        if self.price is not None:
            answer = best((self.weight or 0.0) / found.whole, self.price, free)
        else:
            answer = best(1.0, 0.0, np.where(np.concatenate([excess, [1.0, 1.0]]) > 0, 0.0, np.inf))
            if answer.status != 0:
                answer = best(0.0, 1.0, free)
        used = answer.x[:-2] > SERVED
        return replace(found, client=owner[used], amount=answer.x[:-2][used], distance=d[used])


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _able(d: District, uses: list[str]) -> Bools:
    """Return which sites can hold one of some uses, shape (S,)."""
    columns = [d.use_index[use] for use in uses]
    new, today = d.storey_limit[:, columns] > 0, d.existing_at[:, columns] > 0
    return np.asarray((new | today).any(axis=1) | (d.storeys_today > 0)[d.parcel_of])
