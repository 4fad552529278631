"""The version of this installation, read once: its metadata is a file."""

from importlib.metadata import version

VERSION = version("ganymede-gan")
