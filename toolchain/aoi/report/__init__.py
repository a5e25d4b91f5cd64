"""Plots of what a cutoff saves and costs, and the HTML report."""
