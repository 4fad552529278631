"""The quality bars: default recipes on known data, ten seeds each, and the last part of docs/quality.md."""
