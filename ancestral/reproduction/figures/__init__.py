"""The figures: a file each, under the figure's name. `ancestral.reproduction.figure` finds them here."""
