"""Odour: the share of the year's hours in which people smell what floors give off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from optimizer.emissions import emission
from optimizer.rules.base import Check, Evidence, Positive, Share
from optimizer.rules.receptors import ReceptorRule, points_of

if TYPE_CHECKING:
    from optimizer.district import Floats
    from optimizer.exposure import Receptors
    from optimizer.model import Model
    from optimizer.surroundings import At


class Odour(ReceptorRule):
    """In no more than a share of the year's hours do people smell what the district's floors give off.

    An hour of wind sector and class c, share f_c of the year, is an odour hour at receptor r where

    peak · (sum over other sites s and uses u of  q_u K_rcs g_su)  >  threshold:

    floor area g (m²), odour q of a m² of floor (OU/s), mean concentration K of that sector and class (as in the rule
    air), and ``peak``, by how much the peaks one smells pass the hour's mean. In units of the threshold, with y_rc = 1 for
    an odour hour and z_r = 1 where the use is present,

    sum - 1  <=  (M_rc - 1) y_rc,    sum over c of f_c y_rc  <=  limit + (F_r - limit) (1 - z_r),

    M_rc the most that can arrive (a continuous knapsack), F_r the share of all hours that can be odour hours. One binary a
    receptor and wind that can carry odour to it, and one a building and kind of floor. Limits on the (1 - limit) percentile
    of concentrations say the same. Receptors are the middles of building sites; odour within a building is not looked at.
    Missed by shares of the year's hours, receptor by receptor.

    Ten per cent of hours where people live and in mixed areas, peaks four times the hour's mean: German guideline on odour
    (GIRL, now annex 7 of TA Luft), from memory, unconfirmed.
    """

    kind: ClassVar[str] = "odour"
    example: ClassVar[str] = 'kind = "odour"\nlimits = { housing = 0.1 }'
    stricter: ClassVar[Mapping[str, int]] = {"limits": -1, "places": -1}

    limits: dict[str, Share] = Field(
        default={}, description="share of the year's hours at buildings that hold a use, by use"
    )
    places: dict[str, Share] = Field(default={}, description="share of the year's hours, by table of pollution.places")
    threshold: Positive = Field(default=1.0, description="concentration that one smells, OU/m³")
    peak: Positive = Field(default=4.0, description="peaks within an hour over its mean; illustrative, from memory")
    exceeded: Literal["error"] = Field(default="error", description="no background is known for odour")

    @model_validator(mode="after")
    def _some_limit(self) -> Odour:
        if not self.limits and not self.places:
            raise ValueError("limits and places are both missing; give shares of the year's hours by use")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the limited uses."""
        return [(f"limits.{use}", use) for use in self.limits]

    def named_places(self) -> list[tuple[str, str]]:
        """Return the groups of places."""
        return [(f"places.{group}", group) for group in self.places]

    def constrain(self, model: Model) -> None:
        """Add which winds carry odour to each receptor, and a row a receptor that can have too many such hours."""
        from optimizer.exposure import Receptors, part
        from optimizer.kernels import plume, sectors

        d = model.district
        stacks: dict[float | None, Floats] = {}
        for u, each in enumerate(d.uses):
            if emission(each, "odour"):
                stacks.setdefault(each.stack_height, np.zeros(len(d.uses)))[u] = emission(each, "odour")
        if not stacks:
            model.notes.append(f"{self.label}: no use gives off odour; the limit cannot bind.")
            return
        sides: list[tuple[At, str, float]] = [("middles", name, limit) for name, limit in self.limits.items()]
        sides += [("places", name, limit) for name, limit in self.places.items()]
        for at, name, limit in sides:
            use = None if at == "places" else d.use_index[name]
            keep = d.around.group(name) if use is None else self.may_hold(model, use)
            names, site, xy = points_of(d, at, keep)
            # µg/m³ for 1 g/s is OU/m³ for 1,000,000 OU/s.
            room = np.full(len(names), self.threshold / self.peak * 1e6)
            flows = [(weights, plume(d, site, xy, stack)) for stack, weights in stacks.items()]
            far = np.zeros(len(names))
            winds: list[tuple[float, Receptors]] = []
            for kernels in zip(*(sectors(d, flow, self.label) for _, flow in flows), strict=True):
                parts = [part(w, kernel, far, room) for (w, _), (_, _, kernel) in zip(flows, kernels, strict=True)]
                label, share, _ = kernels[0]
                winds.append((share, Receptors([f"{name}_{label}_{n}" for n in names], site, parts)))
            self._hold(model, winds, names, site, use, limit)

    def _hold(
        self,
        model: Model,
        winds: list[tuple[float, Receptors]],
        names: list[str],
        site: np.ndarray,
        use: int | None,
        limit: float,
    ) -> None:
        program = model.program
        most = [found.most(model) for _, found in winds]
        possible = np.zeros(len(names))
        for (share, _), arriving in zip(winds, most, strict=True):
            possible += share * (arriving > 1.0)
        bound = possible > limit + 1e-12
        smelt: list[tuple[np.ndarray, np.ndarray, float]] = []
        row_of = np.cumsum(bound) - 1
        for (share, found), arriving in zip(winds, most, strict=True):
            at = np.flatnonzero(bound & (arriving > 1.0))
            if not len(at):
                continue
            some = found.at(np.isin(np.arange(len(names)), at))
            columns = program.columns([f"{self.label}_smelt_{n}" for n in some.names], upper=1.0, integer=True)
            row = np.arange(len(at))
            terms = []
            for item in some.parts:
                r, s = np.nonzero(item.arriving)
                terms.append((r, model.emitted(item.weight)[s], item.arriving[r, s]))
            program.rows(
                [f"{self.label}_carried_{n}" for n in some.names],
                *terms,
                (row, columns, -(arriving[at] - 1.0)),
                upper=1.0,
            )
            smelt.append((row_of[at], columns, share))
        rows = np.arange(int(bound.sum()))
        if not len(rows):
            return
        where, most_hours = site[bound], possible[bound]
        held = []
        upper = np.full(len(rows), limit)
        if use is not None:
            held = [(rows, c[where], f[where] * (most_hours - limit)) for c, f in model.holding(use)]
            upper = most_hours
        label = model.district.uses[use].name if use is not None else "places"
        self.rows(
            model,
            [f"hours_{label}_{n}" for n, kept in zip(names, bound, strict=True) if kept],
            *smelt,
            *held,
            upper=upper,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Count the hours in which more than the threshold arrives, source by source and wind by wind."""
        from optimizer.breathed import odour_hours

        sides = [(use, limit, self.receptors_of(evidence, "middles", use)) for use, limit in self.limits.items()]
        sides += [(n, limit, evidence.places_in(n)) for n, limit in self.places.items()]
        for name, limit, table in sides:
            if table.empty:
                continue
            hours = odour_hours(evidence, table, self.threshold / self.peak, self.label)
            yield from self.verdict(
                table["receptor"].tolist(), hours, limit, "share of hours", name=f"{self.label} at {name}"
            )
