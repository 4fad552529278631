"""The quality bars: default recipes on known data, ten seeds each, and the page docs/bars.md."""
