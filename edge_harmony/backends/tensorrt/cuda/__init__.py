"""CUDA's runtime for the TensorRT backends, on either of two packages."""
