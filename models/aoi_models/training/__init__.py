"""Training: batches, augmentation, the Lightning module, checkpoints, export."""
