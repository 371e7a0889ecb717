"""Projects embeddings of several models to one plane, with a joint t-SNE, UMAP or PCA."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ezclip.errors import UserError

Projection = Literal["t-SNE", "UMAP", "PCA"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


@dataclass(frozen=True, eq=False)
class Plane:
    """A two-dimensional projection.

    Attributes:
        points: float (n, 2).
        method: the projection and its settings, in words.
        trustworthiness: extent to which neighbours in the plane are neighbours in the embedding, in [0, 1]; NaN for
            fewer than 4 distinct points.
    """

    points: np.ndarray
    method: str
    trustworthiness: float


def stack_embeddings(embeddings: Mapping[str, np.ndarray]) -> np.ndarray:
    """Concatenate the embeddings of several models, (n, E) each.

    Raises:
        UserError: the models differ in E.
    """
    if len({values.shape[1] for values in embeddings.values()}) > 1:
        widths = ", ".join(f"{name} {values.shape[1]}" for name, values in embeddings.items())
        raise UserError(f"The models' embeddings differ in width ({widths}); choose two of equal width.")
    return np.concatenate(list(embeddings.values()))


def project(embeddings: np.ndarray, method: Projection = "t-SNE", *, seed: int = 0) -> Plane:
    """Project embeddings to a plane in one joint fit, so that distances between models can be compared.

    Equal embeddings share a point. t-SNE's perplexity is a third of the number of points, at most 30; UMAP uses at most
    15 neighbours. Three or fewer distinct points are projected with PCA, which is exact for them. ``embeddings``
    (n, E), n at least 2, are L2-normalised here; ``seed`` is for t-SNE and UMAP.

    Raises:
        UserError: fewer than two embeddings or an unknown method.
    """
    if method not in PROJECTIONS:
        raise UserError(f"Unknown projection {method!r}; choose one of {', '.join(PROJECTIONS)}.")
    if len(embeddings) < 2:
        raise UserError(f"A projection needs at least 2 embeddings, got {len(embeddings)}.")
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True).clip(1e-12)
    distinct, inverse = np.unique(unit.round(6), axis=0, return_inverse=True)
    n = len(distinct)
    if method == "PCA" or n < 4:
        points, description = _pca(distinct), "PCA" if method == "PCA" else f"PCA, as only {n} points differ"
    elif method == "t-SNE":
        points, description = _tsne(distinct, seed)
    else:
        points, description = _umap(distinct, seed)
    return Plane(points[inverse.reshape(-1)], description, _trust(distinct, points))


def _pca(values: np.ndarray) -> np.ndarray:
    from sklearn.decomposition import PCA

    if len(values) < 2:
        return np.zeros((len(values), 2))
    points = PCA(n_components=min(2, *values.shape)).fit_transform(values)
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))


def _tsne(values: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(1.0, (len(values) - 1) / 3))
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    return points, f"t-SNE, perplexity {perplexity:.0f}"


def _umap(values: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    neighbours = min(15, len(values) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

        init = "spectral" if len(values) > 12 else "random"  # spectral needs more points
        points = umap.UMAP(n_neighbors=neighbours, init=init, random_state=seed, n_jobs=1).fit_transform(values)
    return np.asarray(points), f"UMAP, {neighbours} neighbours"


def _trust(values: np.ndarray, points: np.ndarray) -> float:
    from sklearn.manifold import trustworthiness

    if len(values) < 4:
        return float("nan")
    return float(trustworthiness(values, points, n_neighbors=max(1, min(5, (len(values) - 1) // 2 - 1))))
