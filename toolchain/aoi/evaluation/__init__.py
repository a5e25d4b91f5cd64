"""Anytime curves, metrics, equality checks; pure numpy."""
