"""The benchmarks of ``aoi bench``, one per module. Each checks that results are equal before it compares times."""
