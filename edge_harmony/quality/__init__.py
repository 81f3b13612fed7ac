"""Quality: scores as papers compute them, parity with PyTorch, pictures with sealed rims, measures of harm."""
