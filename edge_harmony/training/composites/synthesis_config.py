"""Settings of training composites: kinds of change, placements, and their probabilities."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

KINDS = (
    "given", "reinhard", "covariance", "histogram", "idt", "photometric", "identity", "scene", "near", "camera"
)  # fmt: skip
"""The kinds of change, in the order of the internal draw."""


class SynthesisConfig(BaseModel):
    """How training composites are synthesized; weights are relative, probabilities are per sample."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    given: float = Field(0.35, ge=0, description="weight of the data set's own composite")
    reinhard: float = Field(0.15, ge=0, description="weight of mean/deviation transfer from another sample")
    covariance: float = Field(0.15, ge=0, description="weight of covariance transfer from another sample")
    histogram: float = Field(0.10, ge=0, description="weight of histogram transfer from another sample")
    idt: float = Field(0.0, ge=0, description="weight of iterated distribution transfer from another sample")
    photometric: float = Field(0.20, ge=0, description="weight of light, curve, saturation and contrast changes")
    identity: float = Field(0.05, ge=0, description="weight of composites that fit already")
    scene: float = Field(
        0.0, ge=0, description="weight of the map between two whole photographs, applied to the object"
    )
    near: float = Field(0.0, ge=0, description="weight of transfer from a sample whose object has similar colours")
    camera: float = Field(0.0, ge=0, description="weight of another camera, light and haze")
    strength: tuple[float, float] = Field((0.4, 1.0), description="how far a transfer goes, drawn uniformly")
    alike: float = Field(
        0.15, gt=0, description="scale of the distance between the mean colours for the kind near: RGB in [0, 1]"
    )
    spatial: float = Field(0.2, ge=0, le=1, description="probability of smooth light variation over the object")
    relight: float = Field(
        0.0, ge=0, le=1, description="probability of one change of light for real picture and composite together"
    )
    swap: float = Field(
        0.0, ge=0, le=1, description="probability of another sample's mask; given composites keep theirs"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    crop: tuple[float, float] = Field((0.7, 1.0), description="side of the crop, drawn uniformly")
    mask_noise: float = Field(
        0.2, ge=0, le=1, description="probability that the network gets an eroded, dilated or feathered mask"
    )
    sealed: float = Field(0.0, ge=0, le=1, description="probability that the object has no rim of its own photograph")
    rim: tuple[float, float] = Field((0.008, 0.024), description="width of the sealed rim, as a share of the side")
    moved: float = Field(0.0, ge=0, le=1, description="share of sealed objects moved within their photograph")
    elsewhere: float = Field(
        0.0, ge=0, le=1, description="share of sealed objects in another photograph of similar light"
    )
    soft: float = Field(0.0, ge=0, le=1, description="probability of a soft edge on a sealed object")
    jpeg: float = Field(0.3, ge=0, le=1, description="probability of JPEG noise on the composite")
    jpeg_quality: tuple[int, int] = Field((75, 98), description="JPEG quality, drawn uniformly")

    @model_validator(mode="after")
    def _check(self) -> SynthesisConfig:
        if not any(getattr(self, kind) > 0 for kind in KINDS):
            raise ValueError("at least one kind of change needs a weight above 0")
        for name in ("strength", "crop", "jpeg_quality", "rim"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be an increasing range, got {low} to {high}")
        if not 0.05 <= self.crop[0] <= self.crop[1] <= 1:
            raise ValueError("crop must lie in 0.05 to 1")
        if self.rim[1] > 0.25 or self.moved + self.elsewhere > 1:
            raise ValueError("rim must lie in 0 to 0.25, and moved and elsewhere add up to at most 1")
        if not 1 <= self.jpeg_quality[0] <= self.jpeg_quality[1] <= 100:
            raise ValueError("jpeg_quality must lie in 1 to 100")
        return self
