"""Restores: volumes made of a chosen set, beside the database or in its place."""
