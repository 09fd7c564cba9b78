"""Tests of the time plan."""
