"""A page to try harmonization on: paint a mask, choose a network, compare before and after."""
