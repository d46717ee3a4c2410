"""Replacing dead database hosts: observe, plan, apply."""
