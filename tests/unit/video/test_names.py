"""Names of videos and cameras."""

from edge_harmony.video.names import is_moving, is_video


def test_videos_by_suffix():
    assert is_video("a/b.MP4")
    assert is_video("b.webm")
    assert not is_video("b.png")
    assert not is_video("folder")


def test_videos_and_cameras_move():
    assert is_moving("camera:0")
    assert is_moving("a.mp4")
    assert not is_moving("a.png")
