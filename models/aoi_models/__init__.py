"""The part that needs torch and SLAYER: trainable networks, losses, regularisers, training."""
