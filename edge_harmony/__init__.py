"""edge-harmony."""
