"""Accuracy at every step, metrics and equality checks; numpy only. One metric per module."""
