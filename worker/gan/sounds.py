"""Sounds as a person hears and sees them: WAV files, and pictures of a wave over its spectrogram."""

import io
import wave

import numpy as np
from scipy.signal.windows import hann

PAUSE_S = 0.1  # between sounds that follow each other
FULL_SCALE = 2**15 - 1

PICTURE_WIDTH, WAVE_HEIGHT, SPECTRUM_HEIGHT = 96, 24, 48
WINDOW = 512  # frames of a spectrum, at most
FLOOR_DB = -60.0  # below the loudest point of all: black
INK, GROUND = (40, 90, 160), (255, 255, 255)
HEAT = ((0, 0, 0), (110, 30, 90), (240, 110, 40), (255, 245, 170))  # from silent to loud


def to_wav(sound: np.ndarray, rate: int) -> bytes:
    """Write frames (n,) from -1 to 1 as 16-bit PCM, one channel, `rate` frames a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, rate, len(sound), "NONE", ""))
        written.writeframes((sound.clip(-1, 1) * FULL_SCALE).round().astype("<i2").tobytes())
    return file.getvalue()


def in_sequence(sounds: np.ndarray, rate: int) -> np.ndarray:
    """Lay sounds (N, frames) one after the other with pauses between them."""
    pause = round(PAUSE_S * rate)
    joined = np.pad(sounds, ((0, 0), (0, pause))).ravel()
    return joined[: len(joined) - pause]


def draw_sounds(sounds: np.ndarray, rate: int) -> np.ndarray:
    """Draw sounds (N, frames) as pictures (N, 3, H, W) uint8: waves above spectrograms, levels on one scale."""
    decibels = np.stack([spectrogram(sound, rate) for sound in sounds])
    heights = ((decibels - decibels.max()) / -FLOOR_DB + 1).clip(0, 1)
    stops = np.linspace(0, 1, len(HEAT))
    spectra = np.stack([np.interp(heights, stops, [colour[c] for colour in HEAT]) for c in range(3)], axis=1)
    waves = np.stack([draw_wave(sound) for sound in sounds])
    drawn: np.ndarray = np.concatenate([waves, spectra.round().astype(np.uint8)], axis=2)
    return drawn


def draw_wave(sound: np.ndarray) -> np.ndarray:
    """Draw the range of the frames of each column, full scale from top to bottom: (3, H, W) uint8."""
    starts = np.arange(PICTURE_WIDTH) * len(sound) // PICTURE_WIDTH
    rows = (1 - sound.clip(-1, 1)) / 2 * (WAVE_HEIGHT - 1)
    top = np.floor(np.minimum.reduceat(rows, starts))
    bottom = np.ceil(np.maximum.reduceat(rows, starts))
    row = np.arange(WAVE_HEIGHT)[:, None]
    inside = (row >= top) & (row <= bottom)
    return np.where(inside, np.reshape(INK, (3, 1, 1)), np.reshape(GROUND, (3, 1, 1))).astype(np.uint8)


def spectrogram(sound: np.ndarray, rate: int) -> np.ndarray:
    """Return levels in dB (SPECTRUM_HEIGHT, PICTURE_WIDTH): rows of equal width in mel, the highest first."""
    window = min(WINDOW, len(sound))
    starts = np.linspace(0, len(sound) - window, PICTURE_WIDTH).astype(int)
    pieces = sound[starts[:, None] + np.arange(window)] * hann(window)
    power = np.abs(np.fft.rfft(pieces)) ** 2
    # The loudest bin of each row, so that a pure tone shows wherever it lies.
    rows = np.maximum.reduceat(power, mel_bins(power.shape[1], rate), axis=1)
    levels: np.ndarray = 10 * np.log10(rows.T[::-1] + 1e-12)
    return levels


def mel_bins(bins: int, rate: int) -> np.ndarray:
    """Return the first bin of each row, rows ascending: HTK's mel, 2595 log10(1 + f / 700), up to half the rate."""
    highest = np.log10(1 + rate / 2 / 700)
    hertz = 700 * (10 ** (highest * np.arange(SPECTRUM_HEIGHT) / SPECTRUM_HEIGHT) - 1)
    first: np.ndarray = (hertz / (rate / 2) * (bins - 1)).astype(int)
    return first
