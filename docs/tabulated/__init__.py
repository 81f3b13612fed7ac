"""The tables of the documents, by subject; :mod:`docs.tables` knows which document has which."""
