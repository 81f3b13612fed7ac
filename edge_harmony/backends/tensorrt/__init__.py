"""The TensorRT backend: engines for Jetson and CUDA, built as trtexec builds them."""
