"""Our own Lava processes: event source, network and cutoff monitor, each in one file with its models.

Lava executes every file in this folder when it compiles, so nothing else belongs here.
"""
