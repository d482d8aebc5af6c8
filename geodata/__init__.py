"""Parcels, streets and maps: geometry, reading and writing. Knows no solver, no rule and no plan."""
