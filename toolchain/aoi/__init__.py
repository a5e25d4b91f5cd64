"""Anytime optimal inference: spiking networks that answer as soon as they are reliable."""
