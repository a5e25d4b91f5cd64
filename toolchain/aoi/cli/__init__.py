"""The command ``aoi``, with one module per command."""
