"""Other problems of the same kind as given ones: written, solved blind, as hard for the student."""
