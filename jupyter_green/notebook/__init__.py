"""The notebook's front door: hooks around every cell, and the magics."""
