"""The Python API: one object that harmonizes arrays and files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import DEFAULT_BACKEND, DEFAULT_PRECISION, Runner
from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.identity import refuse_overwriting
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.pictures.alpha import straight
from edge_harmony.pictures.arrays import full_scale, like_depth
from edge_harmony.pictures.images import (
    Picture,
    check_holds,
    decode_mask,
    decode_picture,
    encode_picture,
    in_profile,
    match_mask,
    read_mask,
    read_picture,
    write_picture,
)
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.paste import paste
from edge_harmony.pictures.preview import before_after
from edge_harmony.pictures.resize import resize
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.pipeline.stream import StreamOptions, in_step, stream


class Harmonizer:
    """Adapts the foreground of composites to the background.

    >>> with Harmonizer.from_pretrained("edge-s") as harmonizer:
    ...     result = harmonizer.harmonize(composite, mask)

    Args:
        runner: a loaded network; :meth:`from_pretrained` loads one for you.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    @classmethod
    def from_pretrained(
        cls,
        model: str = DEFAULT_MODEL,
        *,
        backend: str = DEFAULT_BACKEND,
        precision: str = DEFAULT_PRECISION,
        artifact: Path | str | None = None,
        weights: Path | str | None = None,
        threads: int = 0,
        device: str = "auto",
    ) -> Harmonizer:
        """Load a network, with the arguments of :func:`edge_harmony.load_runner`.

        Raises:
            UsageError: a name is unknown, or nothing is shipped for this combination.
            CapabilityError: this machine cannot run it.
            ArtifactError: a file is damaged.
        """
        runner = load_runner(
            model,
            backend=backend,
            precision=precision,
            artifact=artifact,
            weights=weights,
            threads=threads,
            device=device,
        )
        return cls(runner)

    def harmonize(
        self, composite: NDArray[Any], mask: NDArray[Any], *, strength: float = 1.0, in_place: bool = False
    ) -> NDArray[Any]:
        """Harmonize one picture; see :func:`edge_harmony.pipeline.harmonize.harmonize_pixels` for types and errors.

        Args:
            composite: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, any size; uint8, uint16 or float in [0, 1].
            mask: ``(H, W)``, white in the foreground; soft edges blend. Two values, whatever they are, are background
                and foreground; other class ids are refused.
            strength: share of the change, 0 to 1.5: 0 leaves the composite as it is, 1 is what the network predicts.
            in_place: change ``composite`` itself, which is faster where it is large.

        Returns:
            ``composite``, or a new array like it. The background is unchanged, bit for bit.
        """
        return harmonize_pixels(self.runner, composite, mask, strength=strength, in_place=in_place)

    def stream(
        self,
        frames: Iterable[NDArray[Any]],
        masks: Iterable[NDArray[Any]],
        *,
        every: int = 1,
        keep: float = 0.8,
        cut: float = 0.12,
        strength: float = 1.0,
        in_place: bool = False,
    ) -> Iterator[NDArray[Any]]:
        """Harmonize the frames of a video, in order.

        >>> for frame in harmonizer.stream(frames, masks):
        ...     show(frame)

        Reading the next frames, prediction and apply overlap. At most three frames are in memory, and no frame is read
        before it is needed. Colour transforms change smoothly over time and start anew where a scene begins.

        Args:
            frames: composites as for :meth:`harmonize`, in a list or generator.
            masks: a mask for every frame.
            every: predict every N-th frame only; between them the transform moves towards the last prediction.
            keep: share of the colour transform that is kept from frame to frame, in [0, 1); 0 treats every frame by
                itself.
            cut: mean difference between two frames, as a share of the full scale, that begins a scene; 0 finds no cuts.
            strength: size of the change, as for :meth:`harmonize`.
            in_place: change and yield the frames themselves, which is faster for large frames.

        Yields:
            An array like each frame.

        Raises:
            InputError: a frame or mask does not fit, or there are more frames than masks or more masks than frames.
            UsageError: ``strength`` is out of range.
            ValueError: ``every`` or ``keep`` is out of range.
        """
        options = StreamOptions(every=every, keep=keep, cut=cut, in_place=in_place, strength=strength)
        return stream(self.runner, in_step(frames, masks), options)

    def harmonize_file(
        self,
        composite: Path | str,
        mask: Path | str | None,
        output: Path | str,
        *,
        background: Path | str | None = None,
        fit: bool = False,
        mask_value: int | None = None,
        invert_mask: bool = False,
        strength: float = 1.0,
        quality: int = 95,
        preview: Path | str | None = None,
    ) -> None:
        """Harmonize one file; depth, alpha and metadata are kept, rotated pictures come out upright.

        ``docs/files.md`` says what each format keeps.

        Args:
            composite: picture to read.
            mask: its mask; None where it is a cut-out, whose alpha channel is the mask, and there is a background.
            output: where to write; the suffix chooses the format.
            background: a picture to paste the foreground of ``composite`` on first.
            fit: resize a mask (and a background) of another size instead of refusing it.
            mask_value: the class id that is the foreground in the mask.
            invert_mask: what is white in the mask is the background.
            strength: share of the change, as of :meth:`harmonize`.
            quality: of JPEG, WebP, HEIC and AVIF.
            preview: where to write composite, mask and result side by side, if wanted.

        Raises:
            UsageError: a file is missing or cannot be written, or ``output`` or ``preview`` is one of the inputs.
            InputError: a file is damaged, or they do not fit together.
        """
        refuse_overwriting([output, preview], [composite, mask, background])
        picture = read_picture(composite)
        check_holds(Path(output).suffix, (picture.pixels.shape[1], picture.pixels.shape[0]))
        reader = MaskReader(mask_value, invert=invert_mask)
        if mask is None:
            if background is None:
                raise UsageError("there is no mask", "give one, or for a cut-out with transparency a --background")
            picture, weight = _cut_out(picture, str(composite), reader)
        else:
            weight = match_mask(read_mask(mask, reader), picture, str(mask), fit=fit)
        if background is not None:
            behind = in_profile(read_picture(background), picture.icc)
            if fit:
                behind = resize(behind, (picture.pixels.shape[1], picture.pixels.shape[0]))
            behind = like_depth(behind, picture.pixels)
            picture = picture.with_pixels(paste(picture.pixels[..., :3], behind[..., :3], weight))
        result = self.harmonize(picture.pixels, weight, strength=strength, in_place=preview is None)
        write_picture(output, picture.with_pixels(result), quality=quality)
        if preview is not None:
            panels = before_after(picture.pixels, result, weight)
            write_picture(preview, replace(panels, icc=picture.icc), quality=quality)

    def harmonize_bytes(
        self,
        composite: bytes,
        mask: bytes,
        suffix: str,
        *,
        names: tuple[str, str] = ("composite", "mask"),
        fit: bool = False,
        mask_value: int | None = None,
        invert_mask: bool = False,
        strength: float = 1.0,
        quality: int = 95,
    ) -> bytes:
        """Harmonize an encoded picture in memory, for servers and object stores.

        Args:
            composite: bytes of a picture file.
            mask: bytes of the mask file.
            suffix: file name suffix of the result, with its dot; it chooses the format.
            names: names of composite and mask in error messages.
            fit: resize a mask of another size instead of refusing it.
            mask_value: the class id that is the foreground in the mask.
            invert_mask: what is white in the mask is the background.
            strength: share of the change, as of :meth:`harmonize`.
            quality: of JPEG, WebP, HEIC and AVIF.

        Returns:
            The bytes of the result file.
        """
        picture = decode_picture(composite, names[0])
        check_holds(suffix, (picture.pixels.shape[1], picture.pixels.shape[0]))
        weight = decode_mask(mask, names[1], MaskReader(mask_value, invert=invert_mask))
        weight = match_mask(weight, picture, names[1], fit=fit)
        result = self.harmonize(picture.pixels, weight, strength=strength, in_place=True)
        return encode_picture(picture.with_pixels(result), suffix, quality=quality)

    def close(self) -> None:
        """Free the network."""
        self.runner.close()

    def __enter__(self) -> Harmonizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cut_out(picture: Picture, name: str, reader: MaskReader) -> tuple[Picture, NDArray[Any]]:
    """A cut-out's colours as they are without alpha, and its alpha as the mask."""
    if picture.pixels.shape[2] != 4 or picture.pixels[..., 3].min() == full_scale(picture.pixels):
        raise InputError(f"{name} has no transparency that could be the mask", "give a mask")
    pixels = straight(picture.pixels)
    return picture.with_pixels(pixels), reader.read(np.ascontiguousarray(pixels[..., 3]), f"the alpha of {name}")
