"""Tests of the ops, most of them generated from the op definitions."""
