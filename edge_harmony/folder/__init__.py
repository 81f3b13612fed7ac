"""Folders of pictures, here or in an object store, harmonized by many processes or by Ray, each of them once."""
