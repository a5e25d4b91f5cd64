"""Data only: YAML descriptions of networks to start from, and trained network files, each with a model card."""
