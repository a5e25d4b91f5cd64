"""Batches of packed spikes in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from aoi.events.spikes import SpikeData


@dataclass(frozen=True)
class Share:
    """One process among several that train together."""

    rank: int = 0
    world_size: int = 1


class _Batches(Dataset):  # type: ignore[type-arg]
    def __init__(self, data: SpikeData) -> None:
        self.data = data

    def __getitem__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.data.batch(indices)), torch.from_numpy(self.data.labels[indices])


class _Order(Sampler):  # type: ignore[type-arg]
    """Lists of indices; Lightning calls ``set_epoch``, also after a resume."""

    def __init__(self, samples: int, batch_size: int, seed: int, shuffle: bool, share: Share) -> None:
        self.samples, self.batch_size, self.seed, self.shuffle, self.epoch = samples, batch_size, seed, shuffle, 0
        self.share = share

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.samples)
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.samples, generator=generator)
        for chunk in order.split(self.batch_size):
            if len(chunk) < self.share.world_size:  # each has to have one: all wait for all in every step
                chunk = chunk.repeat(self.share.world_size)[: self.share.world_size]
            yield chunk[self.share.rank :: self.share.world_size].tolist()


def batches(data: SpikeData, batch_size: int, seed: int, *, shuffle: bool, share: Share | None = None) -> DataLoader:  # type: ignore[type-arg]
    """(spikes uint8 (n, C, H, W, T), labels int64 (n,)) pairs; the last batch of an epoch may be smaller.

    ``share``: only this process' part of each batch, so that all together train on the batches of one alone.
    """
    order = _Order(len(data), batch_size, seed, shuffle, share or Share())
    return DataLoader(_Batches(data), batch_size=None, sampler=order)
