"""The Python API: one object that harmonizes arrays and files."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import DEFAULT_PRECISION, Runner
from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.identity import check_outputs
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.pictures.alpha import straight
from edge_harmony.pictures.arrays import colours_of, full_scale, like_depth, to_unit
from edge_harmony.pictures.encode import check_holds, encode_picture, write_picture
from edge_harmony.pictures.images import (
    Picture,
    decode_mask,
    decode_picture,
    in_profile,
    match_mask,
    read_bytes,
    read_picture,
)
from edge_harmony.pictures.inputs import as_composite, as_mask
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.paste import paste
from edge_harmony.pictures.placement import Placement
from edge_harmony.pictures.preview import before_after, before_after_size
from edge_harmony.pipeline.apply import check_strength
from edge_harmony.pipeline.harmonize import harmonize_checked, harmonize_pixels
from edge_harmony.pipeline.stream import StreamOptions, in_step, stream


class Harmonizer:
    """Adapts the foreground of composites to the background.

    >>> with Harmonizer.from_pretrained("edge-s") as harmonizer:
    ...     result = harmonizer(composite, mask)

    One that :meth:`from_pretrained` has loaded can be pickled: another process loads the network itself.

    Args:
        runner: a loaded network; :meth:`from_pretrained` loads one for you.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._loaded_with: dict[str, Any] | None = None

    def __repr__(self) -> str:
        spec = self.runner.io_spec
        if self._loaded_with is None:
            said = type(self.runner).__name__
        else:
            given = inspect.signature(Harmonizer.from_pretrained).parameters
            changed = {k: v for k, v in self._loaded_with.items() if k == "model" or v != given[k].default}
            said = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        return f"<Harmonizer {said}, working at {spec.height}x{spec.width}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._loaded_with is None:
            raise TypeError(
                f"a Harmonizer of a {type(self.runner).__name__} of your own cannot be pickled; "
                "make it with Harmonizer.from_pretrained"
            )
        return functools.partial(type(self).from_pretrained, **self._loaded_with), ()

    @classmethod
    def from_pretrained(
        cls,
        model: str = DEFAULT_MODEL,
        *,
        backend: str | None = None,
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
        options: dict[str, Any] = {"backend": backend, "precision": precision, "artifact": artifact, "weights": weights}
        options |= {"threads": threads, "device": device}
        harmonizer = cls(load_runner(model, **options))
        harmonizer._loaded_with = {"model": model} | options
        return harmonizer

    @overload
    def harmonize(
        self, composite: NDArray[Any], mask: Any, *, strength: float = 1.0, in_place: bool = False
    ) -> NDArray[Any]: ...

    @overload
    def harmonize(self, composite: Any, mask: Any, *, strength: float = 1.0, in_place: bool = False) -> Any: ...

    def harmonize(self, composite: Any, mask: Any, *, strength: float = 1.0, in_place: bool = False) -> Any:
        """Harmonize one picture, or a list of them; ``harmonizer(composite, mask)`` is short for it.

        See :func:`edge_harmony.pipeline.harmonize.harmonize_pixels` for types and errors.

        Args:
            composite: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, any size; uint8, uint16 or float in [0, 1]. Or a Pillow
                image; a path; or a torch tensor ``(C, H, W)`` or ``(H, W, C)`` on any device, whose channels come first
                where its first side is 3 or 4. A list or tuple of these is harmonized picture by picture, whatever
                their sizes.
            mask: ``(H, W)``, white in the foreground; soft edges blend. Two values, whatever they are, are background
                and foreground; other class ids are refused. Or an image, path or tensor; for a list of composites a
                list of masks.
            strength: share of the change, 0 to 1.5: 0 leaves the composite as it is, 1 is what the network predicts.
            in_place: change ``composite`` itself, which is faster where it is large; for arrays.

        Returns:
            ``composite``, or a new array, image or tensor like it; an array for a path, a list for a list. The
            background is unchanged, bit for bit.

        Raises:
            InputError: ``composite`` or ``mask`` is none of these, they do not fit, or the lists differ in length.
            UsageError: ``strength`` is out of range, or ``in_place`` is set for what is no array.
        """
        if isinstance(composite, list | tuple):
            if not isinstance(mask, list | tuple):
                raise InputError(f"there are {len(composite)} composites but no list of masks", "give a mask for each")
            if len(mask) != len(composite):
                raise InputError(f"there are {len(composite)} composites but {len(mask)} masks", "give a mask for each")
            pairs = zip(composite, mask, strict=True)
            return [self.harmonize(one, its, strength=strength, in_place=in_place) for one, its in pairs]
        if in_place and not isinstance(composite, np.ndarray):
            raise UsageError(f"in_place is for arrays, and composite is a {type(composite).__name__}", "leave it out")
        pixels, like_given = as_composite(composite)
        result = harmonize_pixels(self.runner, pixels, as_mask(mask), strength=strength, in_place=in_place)
        return like_given(result)

    __call__ = harmonize

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
        position: tuple[int, int] | None = None,
        scale: float = 1.0,
        anchor: str = "center",
        fit: bool = False,
        mask_value: int | None = None,
        invert_mask: bool = False,
        strength: float = 1.0,
        quality: int = 95,
        preview: Path | str | None = None,
    ) -> tuple[int, int]:
        """Harmonize one file; depth, alpha and metadata are kept, rotated pictures come out upright.

        ``docs/files.md`` says what each format keeps.

        Args:
            composite: picture to read.
            mask: its mask; None where it is a cut-out, whose alpha channel is the mask, and there is a background.
            output: where to write; the suffix chooses the format.
            background: a picture to paste the foreground of ``composite`` on first; the result has its size.
            position: the pixel (x, y) of the background on which the anchor of ``composite`` comes to lie; None for the
                point of the background that the anchor names.
            scale: size of the foreground, as a multiple of its own.
            anchor: a point of ``composite``: ``center``, ``top``, ``bottom-left``, ...; see
                :data:`edge_harmony.pictures.placement.ANCHORS`.
            fit: resize a mask of another size instead of refusing it.
            mask_value: the class id that is the foreground in the mask.
            invert_mask: what is white in the mask is the background.
            strength: share of the change, as of :meth:`harmonize`.
            quality: of JPEG, WebP, HEIC and AVIF.
            preview: where to write composite, mask and result side by side, if wanted.

        Returns:
            (width, height) of the result.

        Raises:
            UsageError: a file is missing or cannot be written, ``output`` or ``preview`` is one of the inputs, the
                foreground is placed without a background, or ``strength`` is out of range.
            InputError: a file is damaged, they do not fit together, or none of the foreground is on the background.
        """
        check_outputs([output, preview], [composite, mask, background])
        check_strength(strength)
        placement = _placement(position, scale, anchor, has_background=background is not None)
        picture = read_picture(composite)
        reader = MaskReader(mask_value, invert=invert_mask)
        if mask is None:
            picture, weight = _cut_out(picture, str(composite), reader, has_background=background is not None)
        else:
            weight = match_mask(decode_mask(read_bytes(Path(mask)), str(mask), reader), picture, str(mask), fit=fit)
        if background is not None:
            picture, weight = _pasted(picture, weight, read_picture(background), placement)
        size = picture.pixels.shape[1], picture.pixels.shape[0]
        check_holds(Path(output).suffix, size)
        if preview is not None:
            check_holds(Path(preview).suffix, before_after_size(size))
        result = self._change(picture, weight, strength, in_place=preview is None)
        write_picture(output, picture.with_pixels(result), quality=quality)
        if preview is not None:
            panels = before_after(picture.pixels, result, weight)
            write_picture(preview, replace(panels, icc=picture.icc), quality=quality)
        return size

    def harmonize_bytes(
        self,
        composite: bytes,
        mask: bytes | None,
        suffix: str,
        *,
        names: tuple[str, str] = ("composite", "mask"),
        background: bytes | None = None,
        position: tuple[int, int] | None = None,
        scale: float = 1.0,
        anchor: str = "center",
        fit: bool = False,
        mask_value: int | None = None,
        invert_mask: bool = False,
        strength: float = 1.0,
        quality: int = 95,
    ) -> bytes:
        """Harmonize an encoded picture in memory, for servers and object stores.

        Args:
            composite: bytes of a picture file.
            mask: bytes of the mask file; None as for :meth:`harmonize_file`.
            suffix: file name suffix of the result, with its dot; it chooses the format.
            names: names of composite and mask in error messages.
            background: bytes of a picture to paste the foreground of ``composite`` on first.
            position: of the anchor on the background, as for :meth:`harmonize_file`.
            scale: size of the foreground, as a multiple of its own.
            anchor: a point of ``composite``, as for :meth:`harmonize_file`.
            fit: resize a mask of another size instead of refusing it.
            mask_value: the class id that is the foreground in the mask.
            invert_mask: what is white in the mask is the background.
            strength: share of the change, as of :meth:`harmonize`.
            quality: of JPEG, WebP, HEIC and AVIF.

        Returns:
            The bytes of the result file.

        Raises:
            UsageError: there is no mask where one is needed, the foreground is placed without a background, or
                ``strength`` is out of range.
            InputError: a picture is damaged, they do not fit together, or none of the foreground is on the background.
        """
        check_strength(strength)
        placement = _placement(position, scale, anchor, has_background=background is not None)
        picture = decode_picture(composite, names[0])
        reader = MaskReader(mask_value, invert=invert_mask)
        if mask is None:
            picture, weight = _cut_out(picture, names[0], reader, has_background=background is not None)
        else:
            weight = match_mask(decode_mask(mask, names[1], reader), picture, names[1], fit=fit)
        if background is not None:
            picture, weight = _pasted(picture, weight, decode_picture(background, "background"), placement)
        check_holds(suffix, (picture.pixels.shape[1], picture.pixels.shape[0]))
        result = self._change(picture, weight, strength, in_place=True)
        return encode_picture(picture.with_pixels(result), suffix, quality=quality)

    def _change(self, picture: Picture, weight: NDArray[Any], strength: float, *, in_place: bool) -> NDArray[Any]:
        """Harmonize what was read from files, which has been checked: the weights are no mask to be read again."""
        pixels = picture.pixels
        return harmonize_checked(self.runner, pixels, colours_of(pixels), weight, strength=strength, in_place=in_place)

    def close(self) -> None:
        """Free the network."""
        self.runner.close()

    def __enter__(self) -> Harmonizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _placement(position: tuple[int, int] | None, scale: float, anchor: str, *, has_background: bool) -> Placement:
    placement = Placement(position, scale, anchor)
    if not has_background and placement != Placement():
        raise UsageError("position, scale and anchor place the foreground on a background", "give background=FILE")
    return placement


def _pasted(
    picture: Picture, weight: NDArray[Any], background: Picture, placement: Placement
) -> tuple[Picture, NDArray[Any]]:
    """The foreground of a picture on a background, with the picture's metadata, and its mask there, in [0, 1]."""
    weight = to_unit(weight)  # pasting reads masks of integers by the rules for masks, and this one has been read
    behind = like_depth(in_profile(background, picture.icc), picture.pixels)
    front, weight = placement.place(picture.pixels[..., :3], weight, (behind.shape[1], behind.shape[0]))
    return picture.with_pixels(paste(front, behind[..., :3], weight)), weight


def _cut_out(picture: Picture, name: str, reader: MaskReader, *, has_background: bool) -> tuple[Picture, NDArray[Any]]:
    """A cut-out's colours as they are without alpha, and its alpha as the mask."""
    if not has_background:
        raise UsageError("there is no mask", "give one, or for a cut-out with transparency background=FILE")
    if picture.pixels.shape[2] != 4 or picture.pixels[..., 3].min() == full_scale(picture.pixels):
        raise InputError(f"{name} has no transparency that could be the mask", "give a mask")
    pixels = straight(picture.pixels)
    return picture.with_pixels(pixels), reader.read(np.ascontiguousarray(pixels[..., 3]), f"the alpha of {name}")
