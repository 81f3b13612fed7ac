"""The reference backend: the network itself, in float or with fake quantization."""
