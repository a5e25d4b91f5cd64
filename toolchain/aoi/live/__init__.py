"""Decisions while the events arrive: windows of a stream, bin by bin, on the engine."""
