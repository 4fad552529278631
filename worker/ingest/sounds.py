"""WAV files: one that is cut into pieces, or a zip of many, brought to one rate and one length."""

import io
import struct
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import BinaryIO

import numpy as np

from service.spec.facts import DatasetFacts
from worker.ingest.archive import Archive, folder_of, place
from worker.ingest.bench import Bench, RowWriter, classes_of_folders, require_samples
from worker.ingest.upload import BadUpload

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
FORMS = {(PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32)}
MOST_CHANNELS = 32
LOWEST_RATE, HIGHEST_RATE = 1_000, 384_000
MOST_CHUNKS = 1_000
USUAL_RATE = 16_000  # frames a second that sounds of higher or several rates are converted to
PIECE_S = 0.25  # of one long sound, when nobody says how long a sample is
LENGTH_MULTIPLE = 64  # of the frames of a sample, so that networks can halve it a few times
MOST_NAMED = 4  # rates in a remark
BLOCK_S = 60  # of one long sound at a time


@dataclass(frozen=True)
class Wave:
    """Where the frames of a WAV file are and how they are written."""

    form: tuple[int, int]  # tag, bits
    channels: int
    rate: int
    data_at: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        """How many bytes hold one frame."""
        return self.channels * self.form[1] // 8


def prepare_sound(bench: Bench, path: Path) -> DatasetFacts:
    """Cut one sound into pieces of one length, the rest left out."""
    bench.check_modality("a WAV file", "audio")
    with path.open("rb") as file:
        wave = read_wave(file, "The file")
        rate = _choose_rate(bench, {wave.rate})
        frames = _frames(bench, bench.options.seconds or PIECE_S, rate)
        require_samples(round(wave.frames * rate / wave.rate) // frames, "pieces of that length")
        with bench.write_rows(np.float32, (1, frames)) as writer:
            _cut(bench, file, wave, writer, frames, rate)
    return _facts(bench, frames, writer.count, (), rate)


def prepare_sounds(bench: Bench, archive: Archive) -> DatasetFacts:
    """Prepare a zip of sounds, whose folders are classes; each is cut or padded with silence to the median length."""
    bench.check_modality("a zip of WAV files", "audio")
    require_samples(len(archive.entries), "sounds")
    waves = [read_wave(io.BytesIO(archive.read(entry)), place(entry)) for entry in archive.entries]
    rate = _choose_rate(bench, {wave.rate for wave in waves})
    seconds = bench.options.seconds or float(np.median([wave.frames / wave.rate for wave in waves]))
    frames = _frames(bench, seconds, rate)
    cut = padded = 0
    with bench.write_rows(np.float32, (1, frames)) as writer:
        for entry in archive.entries:
            file = io.BytesIO(archive.read(entry))
            wave = read_wave(file, place(entry))
            sound = resample(read_frames(file, wave, 0, wave.frames, place(entry)), wave.rate, rate)
            cut, padded = cut + (len(sound) > frames), padded + (len(sound) < frames)
            writer.append(np.pad(sound[:frames], (0, max(0, frames - len(sound))))[None, None])
    if cut or padded:
        message = f"Sounds were brought to {frames:,} frames: {cut:,} were cut, {padded:,} padded with silence."
        bench.remark("lengths_differ", message)
    names, classes = classes_of_folders([folder_of(entry) for entry in archive.entries])
    if names:
        bench.write_labels(classes, len(names), writer.count)
    return _facts(bench, frames, writer.count, names, rate)


def read_wave(file: BinaryIO, name: str) -> Wave:
    """Walk the chunks of a WAV file; raises BadUpload unless it holds frames of a plain form, counted from its bytes.

    The form is that of http://soundfile.sapp.org/doc/WaveFormat and, for the extensible one, of Microsoft's
    WAVEFORMATEXTENSIBLE.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise BadUpload("damaged", f"{name} does not begin as a WAV file does.")
    form = None
    for _ in range(MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        kind, length = struct.unpack("<4sL", header)
        at = file.tell()
        if kind == b"fmt ":
            form = _read_form(file.read(min(length, 40)), name)
        elif kind == b"data":
            return _wave(form, at, length, size, name)
        file.seek(at + length + length % 2)
    raise BadUpload("damaged", f"{name} has no frames; it was probably cut off.")


def _read_form(chunk: bytes, name: str) -> tuple[int, int, int, int]:
    if len(chunk) < 16:
        raise BadUpload("damaged", f"{name} has a format chunk of {len(chunk)} bytes; it is damaged.")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHLLHH", chunk)
    if tag == EXTENSIBLE and len(chunk) >= 26:
        tag = struct.unpack_from("<H", chunk, 24)[0]
    if (tag, bits) not in FORMS:
        message = (
            f"{name} is written in form {tag} with {bits} bits; save it as PCM of 16, 24 or 32 bits or 32-bit float."
        )
        raise BadUpload("unknown_encoding", message)
    if not 1 <= channels <= MOST_CHANNELS or block != channels * bits // 8 or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadUpload(
            "damaged", f"{name} says {channels} channels, {rate} frames a second and {block} bytes a frame."
        )
    return tag, bits, channels, rate


def _wave(form: tuple[int, int, int, int] | None, at: int, length: int, size: int, name: str) -> Wave:
    if form is None:
        raise BadUpload("damaged", f"{name} has frames before it says their form.")
    tag, bits, channels, rate = form
    if at + length > size:
        message = f"{name} says that it has {length:,} bytes of sound and ends after {size - at:,}; send it again."
        raise BadUpload("damaged", message)
    frames = length // (channels * bits // 8)
    if frames == 0:
        raise BadUpload("empty", f"{name} has no frames.")
    return Wave((tag, bits), channels, rate, at, frames)


def read_frames(file: BinaryIO, wave: Wave, first: int, count: int, name: str) -> np.ndarray:
    """Return frames (n,) as float32 from -1 to 1, all channels mixed into one."""
    file.seek(wave.data_at + first * wave.frame_bytes)
    data = file.read(count * wave.frame_bytes)
    mixed = _numbers(data, wave.form).reshape(-1, wave.channels).mean(axis=1, dtype=np.float64)
    if not np.isfinite(mixed).all() or np.abs(mixed).max(initial=0) > 2:
        raise BadUpload("out_of_range", f"{name} has frames that are not finite or far beyond -1 and 1.")
    sound: np.ndarray = mixed.clip(-1, 1).astype(np.float32)
    return sound


def _numbers(data: bytes, form: tuple[int, int]) -> np.ndarray:
    tag, bits = form
    if tag == FLOAT:
        return np.frombuffer(data, "<f4")
    if bits == 24:  # the upper three bytes of four
        whole = np.zeros((len(data) // 3, 4), np.uint8)
        whole[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return whole.view("<i4")[:, 0] / 2.0**31
    return np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)


def resample(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Return a sound (n,) at another rate, through a polyphase filter."""
    if rate == wanted:
        return sound
    from scipy.signal import resample_poly

    shared = gcd(rate, wanted)
    changed: np.ndarray = resample_poly(sound.astype(np.float64), wanted // shared, rate // shared)
    return changed.clip(-1, 1).astype(np.float32)


def _cut(bench: Bench, file: BinaryIO, wave: Wave, writer: RowWriter, frames: int, rate: int) -> None:
    """Write a sound piece by piece, a minute at a time."""
    block, rest = BLOCK_S * wave.rate, np.zeros(0, np.float32)
    for first in range(0, wave.frames, block):
        part = read_frames(file, wave, first, min(block, wave.frames - first), "The file")
        rest = np.concatenate([rest, resample(part, wave.rate, rate)])
        whole = len(rest) // frames
        writer.append(rest[: whole * frames].reshape(whole, 1, frames))
        rest = rest[whole * frames :]
    if len(rest):
        bench.remark("rest_left_out", f"The last {len(rest):,} frames fill no whole piece and were left out.")


def _choose_rate(bench: Bench, found: set[int]) -> int:
    """Return the rate that is asked for, or that of all sounds; higher and several ones become the usual one."""
    if bench.options.sample_rate is not None:
        return bench.options.sample_rate
    if len(found) == 1 and max(found) <= USUAL_RATE:
        return max(found)
    others = " and others" if len(found) > MOST_NAMED else ""
    rates = " and ".join(f"{rate:,}" for rate in sorted(found)[:MOST_NAMED]) + others
    bench.remark("rate_converted", f"Sounds of {rates} frames a second were converted to {USUAL_RATE:,}.")
    return USUAL_RATE


def _frames(bench: Bench, seconds: float, rate: int) -> int:
    frames = max(1, round(seconds * rate / LENGTH_MULTIPLE)) * LENGTH_MULTIPLE
    if frames > bench.limits.frames:
        message = (
            f"A sample would have {frames:,} frames; at most {bench.limits.frames:,} are taken. Ask for fewer seconds."
        )
        raise BadUpload("too_long", message)
    return frames


def _facts(bench: Bench, frames: int, count: int, labels: tuple[str, ...], rate: int) -> DatasetFacts:
    return DatasetFacts(
        bench.upload.name, "audio", (1, frames), count, bench.upload.sha256,
        labels=labels, sample_rate=rate,
    )  # fmt: skip
