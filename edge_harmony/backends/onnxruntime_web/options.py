"""What a target of the backend ``onnxruntime-web`` may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edge_harmony.backends.onnxruntime_web.runtime import WASM, WEBGPU


class PageOptions(BaseModel):
    """The options of a page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webgpu: bool = Field(False, description="the page has the runtime for GPUs too, and uses it where there is one")

    @property
    def runtimes(self) -> dict[str, tuple[str, str]]:
        """Module and WebAssembly of each runtime that the page has."""
        return {"wasm": WASM} | ({"webgpu": WEBGPU} if self.webgpu else {})
