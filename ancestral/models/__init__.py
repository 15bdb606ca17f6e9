"""The models: a file each, in the order of the lecture; the registry finds them here."""
