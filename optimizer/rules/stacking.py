"""Vertical order: which storeys a use may take, and what may stand directly over what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from optimizer.rules.base import Check, Evidence, Rule

if TYPE_CHECKING:
    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model

Storey = Annotated[int, Field(ge=1)]


class Stacking(Rule):
    """New and converted buildings stack their uses in one order from the ground up.

    With F_v floors of use v in the building, v < u below u in the order, z_u = 1 where u is present and N the
    most storeys of the building:

    highest storey h of u:      sum of F_v over v <= u  <=  N - (N - h) z_u
    lowest storey l of u:       sum of F_v over v < u   >=  (l - 1) z_u
    a not directly over b:      sum of F_v over b < v < a  >=  z_a + z_b - 1
    u not at grade:             sum of F_v over v < u, v allowed at grade  >=  z_u

    One binary a site and use that a row names, for new and for converted floors. Buildings that are kept stay
    as they are. ``order`` defaults to the uses' rank.
    """

    kind: ClassVar[str] = "stacking"

    order: list[str] = []
    highest: dict[str, Storey] = {}
    lowest: dict[str, Storey] = {}
    not_over: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    at_grade: list[str] = []

    @model_validator(mode="after")
    def _storeys_in_order(self) -> Stacking:
        for use, low in self.lowest.items():
            if low > self.highest.get(use, low):
                raise ValueError(f"lowest.{use} = {low} is above highest.{use} = {self.highest[use]}")
        for over, under in self.not_over:
            if over == under:
                raise ValueError(f"not_over = [{over!r}, {under!r}]: a use may stand over itself; name two uses")
        if len(set(self.order)) < len(self.order):
            raise ValueError(f"order = {self.order}: a use is named twice")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return every use of the lists and tables."""
        named = [(f"order[{i}]", u) for i, u in enumerate(self.order)]
        named += [(f"highest.{u}", u) for u in self.highest] + [(f"lowest.{u}", u) for u in self.lowest]
        named += [(f"not_over[{i}]", u) for i, pair in enumerate(self.not_over) for u in pair]
        return named + [(f"at_grade[{i}]", u) for i, u in enumerate(self.at_grade)]

    def stack_order(self, district: District) -> tuple[Bools, list[str]]:
        """Return the parcels the rule holds on and the uses from the ground up."""
        ranked = [u.name for u in sorted(district.uses, key=lambda u: u.rank)]
        order = [*self.order, *(u for u in ranked if u not in self.order)]
        return district.select(self.where, self.label), order

    def constrain(self, model: Model) -> None:
        """Add the rows for new and for converted buildings."""
        d = model.district
        chosen, names = self.stack_order(d)
        sites = np.flatnonzero(chosen[d.parcel_of])
        order = [d.use_index[u] for u in names]
        place = {u: i for i, u in enumerate(names)}
        rows = np.arange(len(sites))

        for kind, floors, most in (
            ("new", model.new[sites], d.storey_limit.max(axis=1)[sites].astype(float)),
            ("conv", model.converted[sites], d.storeys_today[d.parcel_of][sites].astype(float)),
        ):

            def add(
                label: str,
                below: list[int],
                sign: float,
                binaries: list[tuple[Ints, Floats]],
                upper: Floats,
                kind: str = kind,
                floors: Ints = floors,
            ) -> None:
                model.program.rows(
                    [f"{self.label}_{kind}_{label}_{model.site_names[s]}" for s in sites],
                    *((rows, floors[:, u], sign) for u in below),
                    *((rows, column[sites], factor) for column, factor in binaries),
                    upper=upper,
                )

            zero = np.zeros(len(sites))
            for use, h in self.highest.items():
                upto = order[: place[use] + 1]
                present = model.presence(kind, d.use_index[use])
                slack = np.maximum(most - h, 0.0)
                add(f"highest_{use}", upto, 1.0, [(present, slack)], np.maximum(most, h))
            for use, low in self.lowest.items():
                if low > 1:
                    present = model.presence(kind, d.use_index[use])
                    add(f"lowest_{use}", order[: place[use]], -1.0, [(present, zero + (low - 1))], zero)
            for over, under in self.not_over:
                if place[over] > place[under]:
                    between = order[place[under] + 1 : place[over]]
                    pair = [(model.presence(kind, d.use_index[u]), zero + 1) for u in (over, under)]
                    add(f"{over}_over_{under}", between, -1.0, pair, zero + 1)
            if self.at_grade:
                for use in names:
                    if use not in self.at_grade:
                        base = [u for u in order[: place[use]] if d.uses[u].name in self.at_grade]
                        present = model.presence(kind, d.use_index[use])
                        add(f"grade_{use}", base, -1.0, [(present, zero + 1)], zero)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Read each stack from the ground up and count storeys out of place."""
        ranked = [u.name for u in sorted(evidence.uses.values(), key=lambda u: u.rank)]
        order = [*self.order, *(u for u in ranked if u not in self.order)]
        forbidden = {tuple(pair) for pair in self.not_over}
        parcels = set(evidence.parcels.index[evidence.chosen(self.where, self.label)])
        scopes, wrong = [], []
        for row in evidence.buildings.itertuples():
            if row.parcel_id not in parcels or row.action not in ("redevelop", "convert") or not row.storeys:
                continue
            stack = list(row.storeys)
            count = sum(
                storey > self.highest.get(use, storey) or storey < self.lowest.get(use, storey)
                for storey, use in enumerate(stack, start=1)
            )
            pairs = list(zip(stack[1:], stack[:-1], strict=True))
            count += sum(pair in forbidden for pair in pairs)
            count += sum(order.index(upper) < order.index(lower) for upper, lower in pairs)
            count += bool(self.at_grade) and stack[0] not in self.at_grade
            scopes.append(f"{row.parcel_id}/{row.site}")
            wrong.append(float(count))
        yield from self.verdict(scopes, wrong, 0.0, "storeys out of place")
