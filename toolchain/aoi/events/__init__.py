"""Data sets, splits and encodings: events → spike tensors.

``open_dataset`` → ``split_indices`` → ``load_spikes``. Nothing here imports torch, and importing it is fast.
"""
