"""Tells what is watched: what each application has, lacks and waits for, and what comes next."""
