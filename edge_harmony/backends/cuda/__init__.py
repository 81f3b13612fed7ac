"""Memory, streams, events and graphs of a CUDA device, behind one small interface."""
