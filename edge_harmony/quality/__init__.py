"""What quality is measured on, and by: pictures without a leak at the rim, and numbers that tell harm."""
