"""The CPU backend of the base install: ONNX Runtime, which is told here, before it is imported, to report nothing.

Since 1.29 its wheels send events to Microsoft and keep an identifier and a database below the user's cache folder,
unless this variable is set: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
