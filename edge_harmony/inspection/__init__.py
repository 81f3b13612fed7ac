"""Reading ONNX files before a target does: precision per layer with its reason, refusals, what was really fused."""
