"""Lava sessions: a network file as Lava processes, with a monitor that ends each sample early."""
