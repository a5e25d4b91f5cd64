"""Deployments as jobs of a cluster: a folder that holds all of one, a worker that decides a part of it on a node."""
