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

BLOCK = 1024  # clips that are compared with their whole cluster at once


@dataclass(frozen=True)
class Cluster:
    """A k-means cluster of clips."""

    members: list[int]  # indices of the clips, nearest to the centre first
    cosines: list[float]  # between members and centre


def clusters(clips: Tensor, count: int) -> list[Cluster]:
    """At most ``count`` k-means clusters (seed 0) of unit embeddings (G, E), the largest first."""
    kmeans = MiniBatchKMeans(min(count, len(clips)), random_state=0, batch_size=4096).fit(clips.numpy())
    centres = F.normalize(torch.from_numpy(kmeans.cluster_centers_).float(), dim=-1)
    cosines = (clips * centres[torch.from_numpy(kmeans.labels_).long()]).sum(dim=1).numpy()
    groups = []
    for label in np.unique(kmeans.labels_):
        members = np.flatnonzero(kmeans.labels_ == label)
        members = members[np.argsort(-cosines[members], kind="stable")]
        groups.append(Cluster(members.tolist(), cosines[members].tolist()))
    return sorted(groups, key=lambda cluster: -len(cluster.members))


def duplicates(clips: Tensor, groups: list[Cluster], threshold: float) -> list[list[int]]:
    """Within each cluster the connected sets of clips whose cosines reach ``threshold``, the largest first.

    Pairs across clusters are not compared, which reduces N^2 products to about N^2 / K.
    """
    duplicate_sets: list[list[int]] = []
    for group in groups:
        members = np.sort(group.members)
        embeddings = clips[torch.from_numpy(members)]
        pairs = [np.empty((0, 2), np.int64)]
        for i in range(0, len(embeddings), BLOCK):
            close = (embeddings[i : i + BLOCK] @ embeddings[i:].T >= threshold).nonzero().numpy() + i
            pairs.append(close[close[:, 0] < close[:, 1]])
        edges = np.concatenate(pairs)
        graph = csr_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(len(members),) * 2)
        _, label = connected_components(graph, directed=False)
        order = np.argsort(label, kind="stable")
        for component in np.split(members[order], np.flatnonzero(np.diff(label[order])) + 1):
            if len(component) > 1:
                duplicate_sets.append(component.tolist())
    return sorted(duplicate_sets, key=lambda clips: (-len(clips), clips))
