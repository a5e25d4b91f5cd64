"""Data sets, splits and encodings: events → spike tensors.

The steps: ``open_dataset``, ``split_indices``, ``load_spikes``. Nothing here imports torch.
"""
