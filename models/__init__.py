"""What can be trained and fits the chip."""
