"""The bars of speed: the service beside a loop written by hand and beside peers; docs/performance.md shows them."""
