"""Batches of packed spikes in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from toolchain.events.spikes import SpikeData


class _Batches(Dataset):  # type: ignore[type-arg]
    def __init__(self, data: SpikeData) -> None:
        self.data = data

    def __getitem__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.data.batch(indices)), torch.from_numpy(self.data.labels[indices])


class _Order(Sampler):  # type: ignore[type-arg]
    """Lists of indices; Lightning calls ``set_epoch``, also after a resume."""

    def __init__(self, samples: int, batch_size: int, seed: int, shuffle: bool) -> None:
        self.samples, self.batch_size, self.seed, self.shuffle, self.epoch = samples, batch_size, seed, shuffle, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.samples)
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.samples, generator=generator)
        yield from (chunk.tolist() for chunk in order.split(self.batch_size))


def batches(data: SpikeData, batch_size: int, seed: int, *, shuffle: bool) -> DataLoader:  # type: ignore[type-arg]
    """(spikes uint8 (n, C, H, W, T), labels int64 (n,)) pairs; the last batch of an epoch may be smaller."""
    return DataLoader(_Batches(data), batch_size=None, sampler=_Order(len(data), batch_size, seed, shuffle))
