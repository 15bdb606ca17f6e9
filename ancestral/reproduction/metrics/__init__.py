"""The metrics that recipes measure by, a kind a file; `reproduction.measures` finds them by their names."""
