"""Rehearsals: the newest set is restored beside production, checked, and all that it took is removed."""
