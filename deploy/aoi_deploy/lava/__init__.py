"""Lava sessions: a network file as Lava processes, with the monitor that ends each sample."""
