"""Quantization: fake-quantized modules, so that one checkpoint serves every target."""
