"""Regularisers on what layers do over time, by name in the configuration."""
