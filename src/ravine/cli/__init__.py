"""The command line: a door. Each command parses, calls one public function and prints."""

from ravine.cli.app import main

__all__ = ["main"]
