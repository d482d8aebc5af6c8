"""Units of length and area, converted once, at the door."""

AREA = {"m2": 1.0, "ft2": 0.3048**2, "ha": 10_000.0, "acre": 4046.8564224}
"""m² in one unit; the acre is the international one."""

LENGTH = {"m": 1.0, "ft": 0.3048}
"""m in one unit."""
