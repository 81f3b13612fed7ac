"""Browsers, with ONNX Runtime in WebAssembly: a page around a network, which needs no server and no network."""
