"""Layers: what another file says of parcels, as a fact for `where` and `by`."""

import geopandas as gpd
import pytest
import shapely

from optimizer.district import read_district
from optimizer.errors import StudyError
from tests.districts import CRS, ORIGIN, lots, solve, study

FRAME = lots(3)


def layer(tmp_path, **columns):
    west = shapely.box(ORIGIN[0] - 5, ORIGIN[1] - 5, ORIGIN[0] + 22, ORIGIN[1] + 30)
    frame = gpd.GeoDataFrame(columns, geometry=[west], crs=CRS).to_crs(4326)
    frame.to_file(tmp_path / "areas.gpkg")
    return str(tmp_path / "areas.gpkg")


def test_a_rule_holds_where_a_layer_says(tmp_path):
    file = layer(tmp_path, name=["old town"])
    rule = {"kind": "locked", "where": "layer_heritage"}
    asked = study(layers={"heritage": {"file": file}, "area": {"file": file, "column": "name"}}, rules=[rule])
    district = read_district(asked, FRAME)
    assert district.parcels["layer_heritage"].tolist() == [True, False, False]
    assert district.parcels["layer_area"].tolist() == ["old town", "", ""]
    assert file in district.inputs
    plan = solve(asked, FRAME)
    assert plan.action[0] == "keep"
    folder = plan.save(tmp_path / "plan")
    from optimizer.audit import audit_folder

    assert not audit_folder(folder).faults


def test_within_reaches_beyond_a_layer_and_by_adds_up_along_it(tmp_path):
    file = layer(tmp_path, name=["old town"])
    asked = study(
        layers={"area": {"file": file, "column": "name", "within": 20}},
        rules=[{"kind": "share", "uses": ["homes"], "max": 0.5, "by": "layer_area"}],
    )
    district = read_district(asked, FRAME)
    assert district.parcels["layer_area"].tolist() == ["old town", "old town", ""]
    assert len(district.places("layer_area", None, "share").names) == 2


@pytest.mark.parametrize(
    ("section", "said"),
    [({"column": "nme"}, r"layers\.area\.column = 'nme': not in the file"), ({"colum": "x"}, "unknown key")],
)
def test_a_wrong_layer_is_named(tmp_path, section, said):
    file = layer(tmp_path, name=["old town"])
    with pytest.raises(StudyError, match=said):
        read_district(study(layers={"area": {"file": file, **section}}), FRAME)
