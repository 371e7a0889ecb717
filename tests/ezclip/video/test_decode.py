"""Decoding against brute force, odd files, and files that are not videos."""

from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ezclip.errors import VideoError
from ezclip.video.decode import iterate
from ezclip.video.encode import write_mp4, write_preview
from ezclip.video.read import describe, read_clip, read_frames
from ezclip.video.sampling import segment_centres
from tests.conftest import write_video
from tests.reliability.materials import sound

EIGHT = partial(segment_centres, T=8)


def every(total: int) -> list[int]:
    return list(range(total))


def brute_force(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plain.mp4", {}),
        ("bframes.mp4", {"count": 90, "options": {"bf": "3", "g": "12"}}),
        ("opengop.mp4", {"count": 90, "options": {"x264-params": "open-gop=1:keyint=10:bframes=2"}}),
        ("long_gop.mkv", {"count": 60, "options": {"g": "250"}}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"g": "8", "deadline": "realtime"}}),
        ("mpeg4.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("animation.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ("intra.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("stream.ts", {"format": "mpegts"}),
        ("uneven.mp4", {"times": [i * i for i in range(24)], "rate": 1000}),
        ("three.mp4", {"count": 3}),
        ("one.mp4", {"count": 1}),
        ("odd_size.mkv", {"size": (63, 47), "pix_fmt": "yuv444p"}),
        ("ten_bit.mkv", {"pix_fmt": "yuv420p10le"}),
    ],
)
def test_wanted_frames_equal_brute_force(tmp_path: Path, name: str, arguments: dict) -> None:
    path = write_video(tmp_path / name, **arguments)
    full = brute_force(path)
    clip = read_clip(path, EIGHT)
    assert clip.total == len(full)
    assert clip.indices.tolist() == segment_centres(len(full), 8)
    for index, image in zip(clip.indices, clip.images, strict=True):
        assert np.array_equal(image, full[index])
    assert np.all(np.diff(clip.seconds) >= 0)


def test_seconds_are_presentation_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "uneven.mp4", times=[i * i for i in range(10)], rate=1000, count=10)
    seconds = read_frames(path, every).seconds
    np.testing.assert_allclose(seconds, [i * i / 1000 for i in range(10)], atol=1e-6)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, turn: int) -> None:
    plain = write_video(tmp_path / "plain.mp4", count=4)
    turned = tmp_path / "turned.mp4"
    data = plain.read_bytes()
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    where = data.index(b"tkhd") + 4 + 40  # the display matrix of a version 0 track header

    def fixed(value: int) -> bytes:
        return (value * 65536).to_bytes(4, "big", signed=True)

    a, b, c, d = matrices[turn]
    matrix = fixed(a) + fixed(b) + bytes(4) + fixed(c) + fixed(d) + bytes(12) + (1 << 30).to_bytes(4, "big")
    turned.write_bytes(data[:where] + matrix + data[where + 36 :])
    upright = np.stack([np.rot90(image, -turn // 90) for image in brute_force(plain)])
    assert np.array_equal(read_frames(turned, every).images, upright)


def test_transparent_parts_lie_on_white(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (16, 16), (255, 0, 0, 0)), Image.new("RGBA", (16, 16), (0, 0, 255, 255))]
    frames[0].save(tmp_path / "clear.gif", save_all=True, append_images=frames[1:], disposal=2)
    images = read_frames(tmp_path / "clear.gif", every).images
    assert images[0].min() == 255
    assert images[1].tolist()[8][8] == pytest.approx([0, 0, 255], abs=8)


def test_a_folder_of_frames_in_name_order(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (20, 10), (i, i, i)).save(folder / f"img_{i + 1:05d}.png")
    clip = read_clip(folder, EIGHT)
    assert clip.images[:, 0, 0, 0].tolist() == segment_centres(12, 8)
    assert clip.name == "clip"


def test_damage_is_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "damaged.mp4", count=40, codec="mjpeg", pix_fmt="yuvj420p", format="mov")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    for packet in packets[10:13]:
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    frames = read_frames(path, every)
    assert (frames.total, frames.lost) == (37, 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"hello, I am not a video\n" * 50),
        ("empty.mp4", b""),
        ("list.mp4", b"ffconcat version 1.0\nfile neighbour.mp4\n"),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nneighbour.mp4\n#EXT-X-ENDLIST\n"),
        ("page.mp4", b"<html><body>no video</body></html>"),
        ("zip.mp4", b"PK\x03\x04" + bytes(200)),
        ("cut.mp4", None),
    ],
)
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path: Path, name: str, content: bytes | None) -> None:
    neighbour = write_video(tmp_path / "neighbour.mp4", count=4)
    path = tmp_path / name
    path.write_bytes(neighbour.read_bytes()[:200] if content is None else content)
    with pytest.raises(VideoError) as caught:
        read_clip(path, EIGHT)
    text = str(caught.value)
    assert name in text and str(tmp_path) not in text and "\n" not in text


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = sound(tmp_path / "sound.mp4")
    with pytest.raises(VideoError, match="no video stream"):
        read_clip(path, EIGHT)


def test_missing_and_unknown_codec(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"no file gone\.mp4"):
        read_clip(tmp_path / "gone.mp4", EIGHT)
    path = write_video(tmp_path / "huff.avi", codec="huffyuv", pix_fmt="yuv422p")
    with pytest.raises(VideoError, match="huffyuv"):
        read_clip(path, EIGHT)


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = write_video(tmp_path / "wide.mp4", count=1, size=(8200, 16), codec="mjpeg", pix_fmt="yuvj420p", format="mov")
    with pytest.raises(VideoError, match="8200x16"):
        read_clip(path, EIGHT)


def test_real_clips(clips: Path) -> None:
    totals = {}
    for path in sorted(clips.iterdir()):
        clip = read_clip(path, EIGHT)
        totals[path.name] = (clip.total, clip.lost)
        assert clip.images.shape[0] == 8
    assert totals == {
        "apply_eye_makeup.avi": (164, 0),
        "arm_wrestling.mp4": (280, 0),
        "corrupted.mp4": (49, 1),
        "cricket.gif": (79, 0),
        "flipping_a_pancake.mkv": (310, 0),
        "rot_90.mov": (3, 0),
        "unordered.mov": (4, 0),
    }
    assert read_clip(clips / "rot_90.mov", EIGHT).images.shape[1:3] == (568, 320)


def test_intra_coding_does_not_know_the_direction_of_time(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3), np.uint8)
    write_mp4(tmp_path / "a.mp4", images, fps=10, every_frame_intra=True)
    write_mp4(tmp_path / "b.mp4", images[::-1], fps=10, every_frame_intra=True)
    forward, backward = (read_frames(tmp_path / name, every).images for name in ("a.mp4", "b.mp4"))
    assert np.array_equal(forward, backward[::-1])


def test_previews(tmp_path: Path) -> None:
    avi = write_video(tmp_path / "clip.avi", codec="mpeg4", count=10)
    assert not describe(avi)["playable"]
    write_preview((image for image, _ in iterate(avi, limit=6)), tmp_path / "preview.mp4", fps=12)
    assert describe(tmp_path / "preview.mp4")["playable"]
    assert read_frames(tmp_path / "preview.mp4", every).total == 6
    assert describe(write_video(tmp_path / "v.webm", codec="libvpx-vp9", options={"deadline": "realtime"}))["playable"]
