"""Slurm: what is there, what goes in, what becomes of it. The only package that knows its commands."""
