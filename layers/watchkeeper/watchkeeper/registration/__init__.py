"""Registration of web nodes: those that can serve are in the pools, and those that cannot are out."""
