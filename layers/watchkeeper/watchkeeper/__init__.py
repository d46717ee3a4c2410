"""Watchkeeper's layer: the use cases of its Lambda functions and what they stand on."""
