"""A page for trying harmonization: paint a mask, choose a network, compare before and after."""
