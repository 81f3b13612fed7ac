"""The one way from a composite and a mask to a harmonized picture, alone or in a stream."""
