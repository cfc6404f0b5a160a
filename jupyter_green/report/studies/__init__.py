"""Views of studies: each tells how it looks from its figures alone, in cells and in reports."""
