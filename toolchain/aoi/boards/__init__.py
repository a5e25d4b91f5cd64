"""Boards: does a network fit, and what does a decision cost there? No Lava in here."""
