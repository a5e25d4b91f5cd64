"""Confidence, stopping rules and their calibration; numpy and scipy only."""
