"""Confidence, stopping rules, calibration; pure numpy."""
