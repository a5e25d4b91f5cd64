"""Runs network files as Lava processes, on a board, or as jobs on a cluster."""
