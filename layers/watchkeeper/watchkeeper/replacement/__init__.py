"""Replacement of dead database hosts: the volumes move to another host, and clients find it again."""
