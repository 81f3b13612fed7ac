"""CUDA for the TensorRT backends, through cuda-bindings or PyCUDA."""
