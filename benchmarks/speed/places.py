"""Where things are that rows share. It knows nothing else, so that a peer's Python can import it."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RECORD = ROOT / "docs" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"
PEERS = ROOT / "build" / "peers"  # where `make peers` installs Lightning and MLflow
COMPILED = ROOT / "build" / "bench-cache"  # steps that were compiled before
