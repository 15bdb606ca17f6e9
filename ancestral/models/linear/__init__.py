"""Linear latent-variable models."""
