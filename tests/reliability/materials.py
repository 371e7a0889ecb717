"""Damaged, odd and hostile files, generated from seeds."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

from tests.conftest import write_video

CONTAINERS: dict[str, dict] = {
    "mp4": {"options": {"bf": "2", "g": "12"}},
    "mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mkv": {"options": {"g": "6"}},
    "webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "g": "8"}},
    "avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "ts": {"format": "mpegts"},
    "3gp": {"codec": "mpeg4", "format": "3gp"},
}


def sources(folder: Path) -> list[Path]:
    """One video of each container."""
    return [write_video(folder / f"source.{kind}", **arguments) for kind, arguments in CONTAINERS.items()]


def mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """A cut, some changed bytes, a changed header, or a piece that was lost, repeated or replaced by zeros."""
    kind = rng.integers(6)
    at = int(rng.integers(1, len(data)))
    length = int(rng.integers(1, max(2, len(data) // 8)))
    changed = bytearray(data)
    if kind == 0:
        return data[:at]
    if kind == 1:
        for place in rng.integers(0, len(data), int(rng.integers(1, 40))):
            changed[place] = rng.integers(256)
    elif kind == 2:
        for place in rng.integers(0, min(400, len(data)), int(rng.integers(1, 12))):
            changed[place] = rng.integers(256)
    elif kind == 3:
        del changed[at : at + length]
    elif kind == 4:
        changed[at:at] = data[at : at + length]
    else:
        changed[at : at + length] = bytes(min(length, len(data) - at))
    return bytes(changed)


def rotated(path: Path, out: Path, turn: int, *, mirrored: bool = False) -> Path:
    """An mp4 whose track header asks for a clockwise rotation by ``turn`` degrees."""
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turn]
    if mirrored:
        a, c = -a, -c
    data = path.read_bytes()
    where = data.index(b"tkhd") + 4 + 40  # the display matrix of a version 0 track header
    values = [a, b, 0, c, d, 0, 0, 0, 0x4000 / 65536]
    matrix = b"".join(struct.pack(">i", round(v * 65536)) for v in values[:8]) + struct.pack(">i", 1 << 30)
    out.write_bytes(data[:where] + matrix + data[where + 36 :])
    return out


def with_size(path: Path, out: Path, width: int, height: int) -> Path:
    """A GIF that claims another size."""
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<HH", width, height)
    out.write_bytes(data)
    return out


def many_frames(path: Path, count: int, *, size: tuple[int, int] = (16, 16), codec: str = "mpeg4") -> Path:
    """One coded frame, repeated without re-encoding."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=240)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        image = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0], 3), np.uint8), format="rgb24")
        image.pts = 0
        packets = [*stream.encode(image), *stream.encode()]
        data = bytes(packets[0])
        for i in range(count):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, stream.codec_context.time_base
            packet.is_keyframe = i == 0
            container.mux(packet)
    return path


def slow_bomb(path: Path, count: int = 2000, size: tuple[int, int] = (8192, 4320)) -> Path:
    """A small VP9 file of huge frames after a single key frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=30, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 2
        coded = []
        for i in range(3):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts = i
            coded += [bytes(packet) for packet in stream.encode(frame)]
        coded += [bytes(packet) for packet in stream.encode()]
        for i in range(count):
            packet = av.Packet(coded[0] if i == 0 else coded[-1])
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, stream.codec_context.time_base
            packet.is_keyframe = i == 0
            container.mux(packet)
    return path


def slow_video(path: Path, count: int = 2200) -> Path:
    """A video of 3840x2160 with one key frame, within the pixel budget: its last frames depend on all previous ones."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "g": "100000"})
        stream.width, stream.height, stream.pix_fmt = 3840, 2160, "yuv420p"
        frame = av.VideoFrame(3840, 2160, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        for i in range(count):
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sound(path: Path) -> Path:
    """A file with an audio stream only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def with_cover(path: Path, frames: int) -> Path:
    """A file with an attached picture and, if ``frames`` > 0, a video of that many frames."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=12)] if frames else []
        art = container.add_stream("mjpeg", rate=1)
        for stream, pix_fmt in ((art, "yuvj420p"), *((stream, "yuv420p") for stream in streams)):
            stream.width, stream.height, stream.pix_fmt = 32, 32, pix_fmt
        art.disposition = Disposition.attached_pic
        grey = [av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * i, np.uint8), format="rgb24") for i in range(12)]
        picture = grey[5].reformat(format="yuvj420p")
        picture.pts = 0
        container.mux([*art.encode(picture), *art.encode()])
        for stream in streams:
            for i, frame in enumerate(grey[:frames]):
                frame.pts = i
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


def odd_files(folder: Path) -> dict[str, tuple[Path, int | str]]:
    """Name -> an odd but valid or an unusable file, and its number of frames or a word of its error message."""
    plain = write_video(folder / "plain.mp4")
    files: dict[str, tuple[Path, int | str]] = {}

    def add(name: str, expected: int | str = 24, **arguments: object) -> Path:
        path = write_video(folder / name, **arguments)  # type: ignore[arg-type]
        files[name] = (path, expected)
        return path

    add("uneven.mp4", times=[i * i for i in range(24)], rate=1000)
    add("uneven.mkv", times=[3 * i + i % 3 for i in range(24)], rate=1000)
    add("uneven.webm", times=[i * i for i in range(24)], rate=1000, codec="libvpx", options={"deadline": "realtime"})
    for turn in (90, 180, 270):
        files[f"turned_{turn}.mp4"] = (rotated(plain, folder / f"turned_{turn}.mp4", turn), 24)
    files["mirrored.mp4"] = (rotated(plain, folder / "mirrored.mp4", 0, mirrored=True), 24)
    for count in range(1, 8):
        add(f"{count}.mp4", count, count=count)
    add("one.gif", 1, count=1, codec="gif", pix_fmt="rgb8")
    add("one.webm", 1, count=1, codec="libvpx-vp9")
    for size in ((1, 1), (17, 3), (3, 17)):
        add(f"{size[0]}x{size[1]}.mkv", size=size, pix_fmt="yuv444p")
    add("1x1.gif", size=(1, 1), codec="gif", pix_fmt="rgb8")
    add("wide.mkv", size=(2048, 4), pix_fmt="yuv444p")
    add("b_frames.mp4", count=60, expected=60, options={"bf": "7", "g": "30", "x264-params": "b-pyramid=normal"})
    add("open_gop.mp4", count=60, expected=60, options={"x264-params": "open-gop=1:keyint=10:bframes=3"})
    add("one_key.mkv", count=60, expected=60, options={"g": "250"})
    add("all_keys.mp4", options={"g": "1"})
    add("negative.mp4", 19, times=[i - 5 for i in range(24)])  # its edit list begins at 0
    add("late.mp4", times=[i + 1000 for i in range(24)])
    add("ten_bit.mkv", pix_fmt="yuv420p10le")
    add("four_four_four.mp4", pix_fmt="yuv444p")
    add("four_two_two.mkv", pix_fmt="yuv422p")
    add("grey.mkv", pix_fmt="gray")
    add("lossless.mp4", options={"qp": "0"})
    add("interlaced.ts", format="mpegts", options={"x264-params": "interlaced=1"})
    add("hdr.mkv", pix_fmt="yuv420p10le", options={"color_primaries": "bt2020", "color_trc": "smpte2084"})
    add("mpeg1.ts", codec="mpeg1video", format="mpegts", rate=25)
    add("mpeg2.ts", codec="mpeg2video", format="mpegts", rate=25)
    add("vp8.webm", codec="libvpx", options={"deadline": "realtime"})
    add("motion_jpeg.avi", codec="mjpeg", pix_fmt="yuvj420p")
    add("wmv.avi", codec="wmv2")
    add("prores.mov", codec="prores", pix_fmt="yuv422p10le")
    add("fast.mp4", rate=1000)
    add("slow.mp4", rate=1)
    clear = [Image.new("RGBA", (16, 16), (255, 0, 0, 0)), Image.new("RGBA", (16, 16), (0, 0, 255, 255))]
    clear[0].save(folder / "clear.gif", save_all=True, append_images=clear[1:], disposal=2)
    files["clear.gif"] = (folder / "clear.gif", 2)
    files["alpha.webm"] = (encoded(folder / "alpha.webm", codec="libvpx-vp9", pix_fmt="yuva420p"), 12)
    files["two_streams.mkv"] = (encoded(folder / "two_streams.mkv", streams=2), 12)
    files["two_sizes.ts"] = (two_sizes(folder), 24)
    files["anamorphic.mkv"] = (encoded(folder / "anamorphic.mkv", aspect=2), 12)
    files["sound.mp4"] = (sound(folder / "sound.mp4"), "no video stream")
    files["cover.mp4"] = (with_cover(folder / "cover.mp4", frames=0), "no video stream")
    files["video_and_cover.mp4"] = (with_cover(folder / "video_and_cover.mp4", frames=12), 12)
    files["nothing.mp4"] = (write_nothing(folder / "nothing.mp4"), "nothing.mp4")
    files["empty.mp4"] = (write_bytes(folder / "empty.mp4", b""), "empty")
    files["no_index.avi"] = (without_index(folder), 24)
    return files


def encoded(path: Path, *, codec: str = "libx264", pix_fmt: str = "yuv420p", streams: int = 1, aspect: int = 1) -> Path:
    """Twelve frames of 32x32 pixels, growing brighter, in each stream."""
    with av.open(str(path), "w") as container:
        video_streams = [container.add_stream(codec, rate=12) for _ in range(streams)]
        for stream in video_streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, pix_fmt
            stream.codec_context.sample_aspect_ratio = aspect
        for i in range(12):
            for stream in video_streams:
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * i, np.uint8), format="rgb24")
                frame = frame.reformat(format=pix_fmt)
                frame.pts = i
                container.mux(stream.encode(frame))
        for stream in video_streams:
            container.mux(stream.encode())
    return path


def two_sizes(folder: Path) -> Path:
    """A transport stream whose resolution changes midway."""
    parts = [
        write_video(folder / f"part{i}.ts", count=12, size=size, format="mpegts", times=[12 * i + j for j in range(12)])
        for i, size in enumerate([(64, 48), (32, 32)])
    ]
    return write_bytes(folder / "two_sizes.ts", b"".join(part.read_bytes() for part in parts))


def write_nothing(path: Path) -> Path:
    """A video stream without a frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.mux(stream.encode())
    return path


def without_index(folder: Path) -> Path:
    """An AVI whose index was cut off."""
    whole = write_video(folder / "whole.avi", codec="mpeg4")
    data = whole.read_bytes()
    return write_bytes(folder / "no_index.avi", data[: data.index(b"idx1")])


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file with this content."""
    path.write_bytes(data)
    return path


def not_videos(folder: Path, neighbour: Path, port: int) -> list[Path]:
    """Forty files that are not videos, some of which refer to ``neighbour`` or to ``port`` on this machine."""
    near, web = neighbour.name, f"http://127.0.0.1:{port}/x.mp4"
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
    texts = {
        "text": "hello\n" * 100,
        "concat": f"ffconcat version 1.0\nfile {near}\n",
        "concat_absolute": f"ffconcat version 1.0\nfile {neighbour}\n",
        "playlist": playlist.format(near),
        "playlist_absolute": playlist.format(neighbour),
        "playlist_web": playlist.format(web),
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "dash": f'<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{near}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
        "smil": f'<smil><body><video src="{web}"/></body></smil>',
        "page": "<html><body>no video</body></html>",
        "drawing": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{web}"/></svg>',
        "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    }
    binaries = {
        "zip": b"PK\x03\x04" + bytes(200),
        "elf": b"\x7fELF" + bytes(200),
        "pdf": b"%PDF-1.7\n" + bytes(200),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "sound": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(200),
        "zeros": bytes(5000),
        "empty": b"",
        "random": np.random.default_rng(0).bytes(5000),
    }
    contents = {name: text.encode() for name, text in texts.items()} | binaries
    suffixes = {
        "text": ".txt",
        "concat": ".ffconcat",
        "playlist": ".m3u8",
        "playlist_web": ".m3u8",
        "sdp": ".sdp",
        "page": ".html",
    }
    return [
        write_bytes(folder / f"{name}{suffix}", content)
        for name, content in contents.items()
        for suffix in (".mp4", suffixes.get(name, ".mkv"))
    ]
