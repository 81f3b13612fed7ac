"""Quantization: a thin layer of fake-quant modules that one checkpoint carries to every target."""
