"""Transfer: unused floor area moves from some parcels to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from optimizer.errors import StudyError
from optimizer.rules.base import Check, Evidence, Positive, Rule

if TYPE_CHECKING:
    import pandas as pd

    from optimizer.district import Floats
    from optimizer.model import Model


class Transfer(Rule):
    """Floor area that sending parcels leave unused may be built on receiving parcels.

    With t_i sent and r_j received (m²): sum of r_j <= sum of t_i,  t_i <= max(FAR_i A_i - G_i, 0) for senders and
    r_j <= cap A_j w_j for receivers, with floor area G, site area A (m²) and w = 1 where redeveloped. What is received
    is added to the parcel's account in `floor_area`. A sender whose lawful building exceeds its ratio sends nothing.
    No binaries. Never missed: what is not received is not allowed.

    Transfer of development rights, from landmarks for one, is common in New York and elsewhere; no number is implied.
    """

    kind: ClassVar[str] = "transfer"
    grants: ClassVar[bool] = True
    example: ClassVar[str] = (
        'kind = "transfer"\nsend = "storeys_today > 0 and year < 1950"\nreceive = "storeys_today == 0"\ncap = 1.0'
    )
    stricter: ClassVar[Mapping[str, int]] = {"cap": -1}

    send: str | list[str] = Field(description="parcels that send: an expression or a list of ids")
    receive: str | list[str] = Field(description="parcels that receive: an expression or a list of ids")
    cap: Positive = Field(description="most that is received, m² over m² of site area")

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find keys that a transfer does not have."""
        if self.price is not None:
            return f"rules ({self.label}): a transfer has no price; what is not received is not allowed"
        if self.where is not None:
            return f"rules ({self.label}): a transfer has no where; name parcels in send and receive"
        return None

    def extra_far(self, parcels: pd.DataFrame) -> Floats:
        """Return the cap on receiving parcels, shape (P,)."""
        from optimizer.district import select

        return np.where(select(parcels, self.receive, f"{self.label}.receive"), self.cap, 0.0)

    def declare(self, model: Model) -> None:
        """Add a column a sender and a receiver, and let `floor_area` add what is received to the account."""
        from optimizer.model import AREA

        d = model.district
        send, receive = (d.select(getattr(self, key), f"{self.label}.{key}") for key in ("send", "receive"))
        ids = d.parcels["parcel_id"].to_numpy()
        both = np.flatnonzero(send & receive)
        if len(both):
            raise StudyError(f"rules ({self.label}): parcel {ids[both[0]]!r} both sends and receives")
        if not send.any() or not receive.any():
            raise StudyError(f"rules ({self.label}): no parcel {'sends' if not send.any() else 'receives'}")
        others = sum((rule.extra_far(d.parcels) for rule in model.rules if rule is not self), np.zeros(len(ids)))
        earning = np.flatnonzero(send & (others > 0))
        if len(earning):
            raise StudyError(
                f"rules ({self.label}): parcel {ids[earning[0]]!r} sends, but a bonus or another transfer adds to it"
            )
        sender, receiver = np.flatnonzero(send & np.isfinite(d.max_far)), np.flatnonzero(receive)
        limit, stands = d.max_far[sender] * d.site_area[sender], d.existing[sender].sum(axis=1)
        sent = model.program.columns([f"{self.label}_sent_{i}" for i in ids[sender]], upper=limit * AREA)
        received = model.program.columns([f"{self.label}_received_{i}" for i in ids[receiver]])
        place = np.full(len(ids), -1)
        place[sender] = rows = np.arange(len(sender))
        over = np.maximum(stands - limit, 0.0) * AREA
        terms: list[tuple[Any, Any, Any]] = model.weighted_floor(np.ones(len(d.uses)), place[d.parcel_of])
        terms += [(rows, sent, 1.0), (rows, model.keep[sender], -over), (rows, model.convert[sender], -over)]
        self.rows(model, [f"unused_{i}" for i in ids[sender]], *terms, upper=limit * AREA)
        self.rows(
            model,
            [f"cap_{i}" for i in ids[receiver]],
            (np.arange(len(receiver)), received, 1.0),
            (np.arange(len(receiver)), model.redevelop[receiver], -self.cap * d.site_area[receiver] * AREA),
            upper=0.0,
        )
        self.rows(model, ["balance"], (0, received, 1.0), (0, sent, -1.0), upper=0.0)
        model.allowances.append((receiver, received, np.ones(len(receiver))))

    def constrain(self, model: Model) -> None:
        """Leave it to `floor_area`, which holds the account."""

    def earned(self, evidence: Evidence) -> Floats:
        """Return the most that each receiver may take, m², shape (P,); `check` holds all of them to what is sent."""
        table = evidence.parcels
        holds = evidence.chosen(self.receive, self.label) & (table["action"] == "redevelop").to_numpy()
        return np.where(holds, self.cap * table["site_area"].to_numpy(float), 0.0)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Compare the floor area beyond all receivers' ratios with what all senders leave unused."""
        table = evidence.parcels
        area = table[[f"gfa_{u}" for u in evidence.uses]].sum(axis=1).to_numpy(float)
        limit = table["max_far"].to_numpy(float) * table["site_area"].to_numpy(float)
        bonus = sum((r.earned(evidence) for r in evidence.rules if not isinstance(r, Transfer)), np.zeros(len(table)))
        taken = evidence.chosen(self.receive, self.label) & (table["action"] == "redevelop").to_numpy()
        beyond = np.nansum(np.maximum(area - limit - bonus, 0.0)[taken])
        unused = np.nansum(np.maximum(limit - area, 0.0)[evidence.chosen(self.send, self.label)])
        yield from self.verdict(["floor area received"], float(beyond), float(unused), "m²", absolute=0.01)
