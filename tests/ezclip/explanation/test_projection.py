"""Projections of embeddings into a plane."""

import numpy as np
import pytest

from ezclip.errors import UserError
from ezclip.explanation.projection import project


@pytest.mark.parametrize("method", ["PCA", "t-SNE", pytest.param("UMAP", marks=pytest.mark.slow)])
def test_projection(method: str) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.02, (12, 16)) + axis for axis in np.eye(16)[:2]])
    plane = project(np.concatenate([values, values[:1]]), method)
    assert plane.points.shape == (25, 2) and np.allclose(plane.points[0], plane.points[-1])
    apart = np.linalg.norm(plane.points[:12].mean(axis=0) - plane.points[12:24].mean(axis=0))
    assert apart > 2 * plane.points[:12].std() and plane.trustworthiness > 0.7


def test_projection_of_few_points() -> None:
    same = project(np.ones((4, 8)))
    assert np.ptp(same.points) == 0 and "only 1" in same.method
    two = project(np.eye(8)[:2])
    assert np.linalg.norm(two.points[0] - two.points[1]) == pytest.approx(2**0.5)
    with pytest.raises(UserError, match="at least 2"):
        project(np.ones((1, 8)))
