"""Tests generated from the op records."""
