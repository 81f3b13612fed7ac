"""An interpreter of Core ML programs: what a package computes, on any system."""
