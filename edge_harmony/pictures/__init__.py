"""Pictures: reading and writing files, arrays and masks, resizing, pasting, metrics; no network."""
