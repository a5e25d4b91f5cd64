"""Networks to start from: YAML descriptions, and trained network files with a model card each. Data only."""
