"""Results for people: terminal, Markdown, CSV and one HTML file."""
