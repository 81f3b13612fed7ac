"""OpenVINO, imported without the package through which its wheels report every import to Google Analytics.

OpenVINO takes a stand-in of its own where ``openvino_telemetry`` cannot be imported:
https://docs.openvino.ai/2025/about-openvino/additional-resources/telemetry.html
"""

import sys
from typing import Any, cast

_REPORTS = "openvino_telemetry"
_modules = cast(dict[str, Any], sys.modules)
_is_hidden = _REPORTS not in _modules
if _is_hidden:
    _modules[_REPORTS] = None  # Python raises ImportError for it
try:
    import openvino
finally:
    if _is_hidden:
        del _modules[_REPORTS]

__all__ = ["openvino"]
