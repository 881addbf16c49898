"""Given weights of MSM-Seg with longer or shorter memories than they were trained with."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from oncoprompt.errors import InputError
from oncoprompt.experiments.encodings import EncodedOnce
from oncoprompt.methods.interface import Method
from oncoprompt.methods.msm_seg.config import HieraConfig
from oncoprompt.methods.msm_seg.model import MSMSeg
from oncoprompt.methods.msm_seg.region import PlanePolicy, RegionPolicy
from oncoprompt.methods.region_method import RegionMethod
from oncoprompt.methods.registry import TrainedNetwork

Length = tuple[int, int]
"""n slices and k channels."""


def with_memories(trained: TrainedNetwork) -> MSMSeg:
    """The network, which has both memories; raises InputError for one that has not."""
    network = trained.network
    if not isinstance(network, MSMSeg) or not all(network.msma.branches):
        raise InputError(f"Model '{trained.name}' does not have both memories; take an MSM-Seg model that has.")
    return network


def with_lengths(trained: TrainedNetwork, lengths: Sequence[Length], device: torch.device) -> dict[Length, Method]:
    """The network once for each pair of lengths; every study is encoded once for all of them."""
    network = with_memories(trained)
    backbone = network.config.backbone
    policy = PlanePolicy(plane=backbone.image_size) if isinstance(backbone, HieraConfig) else RegionPolicy()

    def method(changed: MSMSeg) -> Method:
        return RegionMethod(changed, trained.name, trained.sha256, device, policy)

    given = EncodedOnce(method(network))
    return {length: EncodedOnce(given, method(with_memory(network, *length))) for length in lengths}


def with_memory(network: MSMSeg, slices: int, channels: int) -> MSMSeg:
    """A copy of a network that remembers n slices and k channels.

    Items that are older than any it was trained with share the temporal code of the oldest that was.
    """
    changed = copy.deepcopy(network)
    memory = network.config.memory
    changed.config = replace(network.config, memory=replace(memory, slices=slices, channels=channels))
    for branch, entries in zip(changed.msma.branches, (slices, channels), strict=True):
        if branch is not None and entries > len(branch.temporal):
            table = branch.temporal.detach()
            branch.temporal = nn.Parameter(torch.cat([table, table[-1:].expand(entries - len(table), -1)]))
    return changed
