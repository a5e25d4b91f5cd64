"""Deployments as jobs of a cluster: the folder of a job, and the worker that runs one of its chunks on a node."""
