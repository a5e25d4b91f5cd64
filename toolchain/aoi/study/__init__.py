"""Studies: arms × seeds, their cells on disk, and the arms compared."""
