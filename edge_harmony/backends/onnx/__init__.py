"""ONNX: export of the networks, and graph passes for what the targets want to read; no runtime of its own."""
