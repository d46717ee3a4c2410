"""Snapshots of databases: one application-consistent set per database and run."""
