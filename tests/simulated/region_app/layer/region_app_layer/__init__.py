"""What only a function with the layer can import."""
