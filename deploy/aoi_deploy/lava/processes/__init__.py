"""Lava processes at both ends of the network, each in one file with its model.

Lava executes every file of this folder when it compiles: nothing else belongs here.
"""
