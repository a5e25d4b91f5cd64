"""Batches of packed spikes; their order depends only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from aoi.events.spikes import SpikeData


@dataclass(frozen=True)
class Shard:
    """The part of each batch that one process of a distributed training gets."""

    rank: int = 0
    world_size: int = 1


class _BatchDataset(Dataset):  # type: ignore[type-arg]
    def __init__(self, data: SpikeData) -> None:
        self.data = data

    def __getitem__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.data.batch(indices)), torch.from_numpy(self.data.labels[indices])


class _BatchSampler(Sampler):  # type: ignore[type-arg]
    """Yields the sample indices of each batch. Lightning calls ``set_epoch``, also after a resume."""

    def __init__(self, samples: int, batch_size: int, seed: int, shuffle: bool, shard: Shard) -> None:
        self.samples, self.batch_size, self.seed, self.shuffle, self.epoch = samples, batch_size, seed, shuffle, 0
        self.shard = shard

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.samples)
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.samples, generator=generator)
        for batch in order.split(self.batch_size):
            if len(batch) < self.shard.world_size:  # every process needs a sample: they synchronise in every step
                batch = batch.repeat(self.shard.world_size)[: self.shard.world_size]
            yield batch[self.shard.rank :: self.shard.world_size].tolist()


def batches(data: SpikeData, batch_size: int, seed: int, *, shuffle: bool, shard: Shard | None = None) -> DataLoader:  # type: ignore[type-arg]
    """Yields spikes uint8 (n, C, H, W, T) and labels int64 (n,); the last batch of an epoch may be smaller.

    With ``shard`` only one process's part of each batch; all processes together get the batches that a single process
    would get.
    """
    order = _BatchSampler(len(data), batch_size, seed, shuffle, shard or Shard())
    return DataLoader(_BatchDataset(data), batch_size=None, sampler=order)
