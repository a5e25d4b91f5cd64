"""Pictures of what a cutoff trades."""
