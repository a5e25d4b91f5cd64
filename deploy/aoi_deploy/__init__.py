"""A network file at work: as Lava processes, on a board, or as jobs of a cluster."""
