"""Sounds as their log-mel spectra, and how well pitches are hit. Sounds are (N, 1, frames) from -1 to 1."""

import numpy as np

WINDOW, HOP, BANDS = 512, 128, 32
SOUNDS_AT_ONCE = 32
FULL_POWER = (WINDOW / 4) ** 2  # of a full sine at its frequency, for the mean of the window is 1/2
LEAST_POWER = 1e-8 * FULL_POWER  # silence, 80 dB below


def power_spectra(sounds: np.ndarray) -> np.ndarray:
    """Return the power (N, windows, frequencies) under Hann windows; a sound shorter than one is padded."""
    waves = sounds.reshape(len(sounds), -1).astype(np.float64)
    waves = np.pad(waves, ((0, 0), (0, max(0, WINDOW - waves.shape[1]))))
    windows = np.lib.stride_tricks.sliding_window_view(waves, WINDOW, axis=1)[:, ::HOP]
    spectra: np.ndarray = np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=2)) ** 2
    return spectra


def mel_bands(sample_rate: int) -> np.ndarray:
    """Return triangles (frequencies, 32) evenly spaced in mel, 2595 log10(1 + f / 700) (O'Shaughnessy 1987)."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(WINDOW, 1 / sample_rate)[:, None]
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


def log_mel(sounds: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return natural logarithms of the power (N, windows, 32) in mel bands."""
    bands = power_spectra(sounds) @ mel_bands(sample_rate)
    logarithms: np.ndarray = np.log(np.maximum(bands, LEAST_POWER))
    return logarithms


def log_mel_summary(sounds: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return each band's mean and deviation over time (N, 64): the phase and the moment of a sound do not count."""
    spectra = [log_mel(part, sample_rate) for part in in_parts(sounds)]
    return np.concatenate([np.concatenate([part.mean(axis=1), part.std(axis=1)], axis=1) for part in spectra])


def spectral_convergence(real: np.ndarray, made: np.ndarray) -> float:
    """Return the distance of the mean magnitude spectra over the norm of the real one (Arik, Jun and Diamos 2019,
    eq. 3, of the average sound: generated sounds have no partner among the real ones).
    """
    real_mean, made_mean = mean_magnitude(real), mean_magnitude(made)
    return float(np.linalg.norm(real_mean - made_mean) / np.linalg.norm(real_mean))


def mean_magnitude(sounds: np.ndarray) -> np.ndarray:
    """Return the root of the mean power (frequencies,)."""
    power = sum(power_spectra(part).mean(axis=1).sum(axis=0) for part in in_parts(sounds))
    magnitude: np.ndarray = np.sqrt(power / len(sounds))
    return magnitude


def in_parts(sounds: np.ndarray) -> list[np.ndarray]:
    """Cut a set of sounds into parts whose spectra fit into little memory."""
    return np.array_split(sounds, -(-len(sounds) // SOUNDS_AT_ONCE))
