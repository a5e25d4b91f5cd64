"""What ``aoi bench`` measures: one module a benchmark. Each compares results before it compares times."""
