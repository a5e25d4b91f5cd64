"""Slurm: its partitions, submitting jobs, and their states. The only package that runs Slurm's commands."""
