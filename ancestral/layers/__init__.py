"""Parts of networks that models are built from."""
