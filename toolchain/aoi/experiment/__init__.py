"""Configuration and run folder of an experiment, as plain data. Does not import torch."""
