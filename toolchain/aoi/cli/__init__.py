"""The command ``aoi``: one module a command, thin."""
