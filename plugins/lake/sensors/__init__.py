"""Sensors of the lake, one public class per file."""
