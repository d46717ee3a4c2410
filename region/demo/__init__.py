"""The demo: the main job told as a story. It checks what it claims, and fails where a claim does not hold."""
