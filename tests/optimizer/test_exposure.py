"""Limits at receptors by nearby sources alone: against linear programs, closed formulas and matrices with every pair."""

import math

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

from geodata.synthetic import synthetic_district
from optimizer import exposure, kernels
from optimizer.district import read_district
from optimizer.exposure import dominated, knapsack, knapsack_within
from optimizer.problem import assemble
from optimizer.study import load_study

USES = ("workshop", "rnd", "housing", "services")


def sources(seed, receptors=40, count=25):
    """A kernel whose small entries are left out, what counts in their place, own sources and caps."""
    rng = np.random.default_rng(seed)
    whole = rng.uniform(0, 1, (receptors, count))
    far = rng.uniform(0.3, 0.6, receptors)
    site = np.where(rng.random(receptors) < 0.7, rng.integers(0, count, receptors), -1)
    near = np.where(whole > rng.uniform(0.2, 0.6, (receptors, 1)), whole, 0.0)
    near[np.flatnonzero(site >= 0), site[site >= 0]] = 0.0
    return sparse.csr_matrix(near), far, site, rng.uniform(0, 3, count)


@pytest.mark.parametrize("together", [7, 256])
@pytest.mark.parametrize("total", [0.5, 12.0, 1e6])
def test_most_that_arrives_is_the_best_of_a_linear_program(total, together, monkeypatch):
    monkeypatch.setattr(exposure, "TOGETHER", together)
    kernel, far, site, cap = sources(4)
    counts = np.maximum(kernel.toarray(), far[:, None])
    counts[np.flatnonzero(site >= 0), site[site >= 0]] = 0.0
    best = [-linprog(-row, A_ub=[np.ones(len(cap))], b_ub=[total], bounds=[(0, c) for c in cap]).fun for row in counts]
    assert knapsack_within(kernel, far, site, cap, total) == pytest.approx(best)
    assert knapsack(counts, cap, total) == pytest.approx(best)


def asked(**noise):
    return load_study(
        {
            "name": "Noise",
            "parcels": {
                "columns": {c: c for c in ("id", "max_far", "max_height", "coverage", "storeys")},
                "existing": {use: f"gfa_{use}" for use in USES},
            },
            "rules": [
                {"kind": "programme", "max_today": 1.5},
                {"kind": "noise", "method": "din45691", "reach": 150.0, **noise},
            ],
        }
    )


def test_what_nearby_buildings_send_falls_with_the_square_of_the_distance():
    d = read_district(asked(limits={"housing": 60}), *synthetic_district(60, seed=1))
    site, xy = np.append(np.arange(60), -1), np.vstack([d.xy, d.xy.mean(axis=0)])
    kernel, far = kernels.divergence_within(d, site, xy, 150.0)
    for r, (x, y) in enumerate(xy):
        for s, (a, b) in enumerate(d.xy):
            apart = math.hypot(x - a, y - b)
            heard = 1 / (4 * math.pi * max(apart, 1) ** 2) if apart <= 150 and s != site[r] else 0
            assert kernel[r, s] == pytest.approx(heard)
    assert far == pytest.approx([1 / (4 * math.pi * 150**2)] * 61)


@pytest.mark.parametrize(
    "noise",
    [
        {"limits": {"housing": {"day": 58, "night": 50}}},
        {"limits": {"housing": 57, "services": 60}, "background": 40.0},
    ],
    ids=["two levels", "two uses"],
)
def test_rows_are_those_of_kernels_with_every_pair(noise, monkeypatch):
    study = asked(**noise)
    district = read_district(study, *synthetic_district(120, seed=1))
    found = assemble(study, district).arrays()
    within = kernels.divergence_within

    def every_pair(*arguments):
        kernel, far = within(*arguments)
        return kernel.toarray(), far

    monkeypatch.setattr(kernels, "divergence_within", every_pair)
    expected = assemble(study, district).arrays()
    assert list(found.row_names) == list(expected.row_names)
    assert sum("beside" in name for name in found.row_names) > 1
    assert sum(name.startswith("noise_housing") for name in found.row_names) > 20
    difference = (found.matrix - expected.matrix).tocoo()
    assert np.abs(difference.data).max(initial=0.0) < 1e-9 * np.abs(expected.matrix.data).max()
    assert found.row_upper == pytest.approx(expected.row_upper, rel=1e-9)


def test_a_row_weighs_every_building_by_what_arrives_of_it_at_most():
    study = asked(limits={"housing": 57})
    district = read_district(study, *synthetic_district(120, seed=1))
    problem = assemble(study, district)
    arrays = problem.arrays()
    place = {name: k for k, name in enumerate(arrays.column_names)}
    names = problem.model.site_names
    matrix = arrays.matrix.toarray()
    each = matrix[:, [place[f"emitted_0_{n}"] for n in names]]
    every = matrix[:, place[f"emitted_0_{names[0]}_all"]]
    looked = 0
    for r, name in enumerate(arrays.row_names):
        if not name.startswith("noise_housing_loudest_"):
            continue
        own = district.sites["site_id"].tolist().index(name.removeprefix("noise_housing_loudest_"))
        apart = np.maximum(np.minimum(np.linalg.norm(district.xy - district.xy[own], axis=1), 150.0), 1.0)
        arriving = np.where(np.arange(120) == own, 0.0, 1 / apart**2)
        found = each[r] + every[r]
        assert found / found.max() == pytest.approx(arriving / arriving.max(), abs=1e-9)
        looked += 1
    assert looked > 20


def test_rows_that_others_imply_are_found_alike_in_sparse_and_whole_kernels():
    kernel, far, site, _ = sources(7)
    rng = np.random.default_rng(1)
    weight, names = np.ones(2), [str(k) for k in range(len(far))]
    factor = rng.choice([0.9, 1.0, 1.1], len(far))
    other = sparse.csr_matrix(sparse.diags(factor) @ kernel)
    told = [
        dominated(*(exposure.Receptors(names, site, [exposure.Part(weight, k, far)]) for k in pair))
        for pair in ((kernel, other), (kernel.toarray(), other.toarray()))
    ]
    assert told[0].tolist() == told[1].tolist() == (factor >= 1.0).tolist()
