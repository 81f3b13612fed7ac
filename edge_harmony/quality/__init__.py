"""Quality: scores as papers take them, parity with PyTorch, pictures with sealed rims, numbers that tell harm."""
