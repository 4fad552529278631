"""Defaults that follow the data: what a spec leaves open is filled from here. What each was measured to give
stands in docs/log.md.
"""
