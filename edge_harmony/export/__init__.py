"""From a network to an ONNX file, and graph passes for what the targets want to read; no runtime of its own."""
