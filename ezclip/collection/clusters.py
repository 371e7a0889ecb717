"""Clusters and duplicates of embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

BLOCK = 1024  # clips compared at once with all of their cluster


@dataclass(frozen=True)
class Cluster:
    """Clips that k-means puts together."""

    members: list[int]  # numbers of the clips, those nearest to the centre first
    cosines: list[float]  # of the members with the centre


def clusters(clips: Tensor, count: int) -> list[Cluster]:
    """The largest first: k-means (seed 0) of unit embeddings (G, E), at most ``count``."""
    made = MiniBatchKMeans(min(count, len(clips)), random_state=0, batch_size=4096).fit(clips.numpy())
    centres = F.normalize(torch.from_numpy(made.cluster_centers_).float(), dim=-1)
    near = (clips * centres[torch.from_numpy(made.labels_).long()]).sum(dim=1).numpy()
    found = []
    for label in np.unique(made.labels_):
        members = np.flatnonzero(made.labels_ == label)
        members = members[np.argsort(-near[members], kind="stable")]
        found.append(Cluster(members.tolist(), near[members].tolist()))
    return sorted(found, key=lambda cluster: -len(cluster.members))


def duplicates(clips: Tensor, groups: list[Cluster], least: float) -> list[list[int]]:
    """Sets of clips that are joined by cosines of at least ``least``, within each cluster; the largest first.

    Pairs across two clusters are not compared, so that a million clips take N^2 / K products, not N^2.
    """
    found: list[list[int]] = []
    for group in groups:
        members = np.sort(group.members)
        own = clips[torch.from_numpy(members)]
        pairs = [np.empty((0, 2), np.int64)]
        for at in range(0, len(own), BLOCK):
            close = (own[at : at + BLOCK] @ own[at:].T >= least).nonzero().numpy() + at
            pairs.append(close[close[:, 0] < close[:, 1]])
        edges = np.concatenate(pairs)
        graph = csr_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(len(own),) * 2)
        _, label = connected_components(graph, directed=False)
        order = np.argsort(label, kind="stable")
        for same in np.split(members[order], np.flatnonzero(np.diff(label[order])) + 1):
            if len(same) > 1:
                found.append(same.tolist())
    return sorted(found, key=lambda same: (-len(same), same))
