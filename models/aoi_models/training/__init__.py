"""Training: losses (TET), regularisers (STR), the Lightning module, the run folder."""
