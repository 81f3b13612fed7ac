"""The CPU backend of the base install: ONNX Runtime."""
