"""Names to frames: videos, folders, pictures, cameras (a file and a stand-in take their place)."""

import itertools
import threading
import time

import cv2
import numpy as np
import pytest

from edge_harmony.errors import InputError, UsageError
from edge_harmony.video.camera import Camera
from edge_harmony.video.reader import VideoReader
from edge_harmony.video.sources import ImageSequence, Still, open_frames
from tests.unit.video.making import make_video


def test_every_kind_of_name(tmp_path):
    video = make_video(tmp_path / "v.mkv", [(120, 128, 128)] * 3)
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((6, 8, 3), 100 + k, np.uint8))
    assert isinstance(open_frames(str(video)), VideoReader)
    pictures = open_frames(str(tmp_path))
    assert isinstance(pictures, ImageSequence)
    assert (pictures.count, pictures.size, pictures.endless) == (3, (8, 6), False)
    assert [int(frame[0, 0, 0]) for frame, _ in pictures] == [100, 101, 102]
    still = open_frames(str(tmp_path / "1.png"), gray=True)
    assert isinstance(still, Still)
    assert (still.count, still.endless) == (None, True)
    again = [frame for frame, _ in itertools.islice(still, 3)]
    assert all(frame.shape == (6, 8) and frame[0, 0] == 101 for frame in again)


def test_names_that_stand_for_nothing(tmp_path):
    (tmp_path / "none").mkdir()
    for name, kind in (("none", UsageError), ("absent.png", UsageError), ("absent.mp4", UsageError)):
        with pytest.raises(kind):
            open_frames(str(tmp_path / name))
    with pytest.raises(InputError, match="camera:77 gives no pictures"):
        open_frames("camera:77")
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((6, 8, 4), 100, np.uint8))
    with pytest.raises(InputError, match="alpha"):
        open_frames(str(tmp_path / "alpha.png"))


class StandIn:
    """Takes the place of ``cv2.VideoCapture``: frames of rising brightness, then none."""

    def __init__(self, count, seconds=0.0):
        self.count, self.seconds, self.taken, self.released = count, seconds, 0, False

    def __call__(self, device):
        self.device = device
        return self

    def isOpened(self):
        return self.count > 0

    def get(self, what):
        return 30.0

    def read(self):
        time.sleep(self.seconds)
        self.taken += 1
        if self.taken > self.count:
            return False, None
        return True, np.full((6, 8, 3), (10, 20, self.taken), np.uint8)

    def release(self):
        self.released = True


class InSteps(StandIn):
    """Gives the first frame, and more when it is told to."""

    def __init__(self, count):
        super().__init__(count)
        self.allowed, self.asked, self.changed = 1, 0, threading.Condition()

    def read(self):
        with self.changed:
            self.asked += 1
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.asked <= self.allowed, 600)
        return super().read()

    def give(self, frames):
        """Return when all of them were taken and the next one is asked for, or none is left."""
        with self.changed:
            self.allowed += frames
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.asked > min(self.allowed, self.count), 600)


def test_a_camera_gives_its_newest_frame(monkeypatch):
    capture = InSteps(41)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    before = time.monotonic()
    camera = Camera("camera:2")
    assert (capture.device, camera.size, camera.rate, camera.count, camera.endless) == (2, (8, 6), 30, None, True)
    seen, times = [], []
    for frame, at in camera:
        seen.append(int(frame[0, 0, 0]))
        times.append(at)
        assert frame[0, 0].tolist()[1:] == [20, 10]  # BGR became RGB
        time.sleep(0.01)
        capture.give(5)
    assert seen == [1, 6, 11, 16, 21, 26, 31, 36, 41]
    assert camera.dropped == 41 - len(seen)
    assert times == sorted(set(times))
    assert 0.08 < times[-1] - times[0] <= times[-1] < time.monotonic() - before
    assert capture.released
    assert not [thread for thread in threading.enumerate() if thread.name == "edge-harmony-camera"]


def test_leaving_a_camera_lets_go_of_it(monkeypatch):
    capture = StandIn(1_000_000_000, 0.002)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    frames = iter(Camera("camera:rtsp://somewhere"))
    assert capture.device == "rtsp://somewhere"
    next(frames)
    frames.close()
    assert capture.released


def test_a_gray_camera_is_a_mask(monkeypatch):
    class Gray(StandIn):
        def read(self):
            taken, frame = super().read()
            return taken, None if frame is None else np.full((6, 8, 3), 200, np.uint8)

    monkeypatch.setattr(cv2, "VideoCapture", Gray(3))
    frames = [frame for frame, _ in Camera("camera:0", gray=True)]
    assert frames
    assert all(frame.shape == (6, 8) and (frame == 200).all() for frame in frames)
    coloured = StandIn(3)
    monkeypatch.setattr(cv2, "VideoCapture", coloured)
    with pytest.raises(InputError, match="coloured"):
        Camera("camera:0", gray=True)
    assert coloured.released


def test_a_file_in_place_of_a_device(tmp_path):
    path = make_video(tmp_path / "v.mp4", [(120 + k, 128, 128) for k in range(5)], codec="libx264", kind="yuv420p")
    frames = list(Camera(f"camera:{path}"))
    assert 1 <= len(frames) <= 5
    assert frames[0][0].shape == (48, 64, 3)


def test_numbered_pictures_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 2, 100):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((6, 8, 3), number, np.uint8))
    assert [int(frame[0, 0, 0]) for frame, _ in open_frames(str(tmp_path))] == [2, 9, 10, 100]


def test_masks_of_class_ids_in_a_folder(tmp_path):
    for number, value in enumerate((15, 0, 15)):
        mask = np.zeros((6, 8), np.uint8)
        mask[2:4, 2:4] = value
        cv2.imwrite(str(tmp_path / f"{number}.png"), mask)
    assert [int(mask.max()) for mask, _ in open_frames(str(tmp_path), gray=True)] == [255, 0, 255]
