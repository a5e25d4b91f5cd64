"""A network file at work as Lava processes."""
