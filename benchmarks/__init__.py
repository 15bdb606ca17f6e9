"""Speed against named peers, frozen bare loops and the machine's own limit: `python -m benchmarks.NAME`."""
