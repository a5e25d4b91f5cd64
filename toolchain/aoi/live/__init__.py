"""Decisions while events arrive: windows of a stream, bin by bin."""
