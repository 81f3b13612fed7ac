"""How the page looks, and what it does in the browser where Gradio has no argument for it."""

from __future__ import annotations

BRUSH_ALPHA = 0.6
"""Opacity of a stroke, which counts as 1 in the mask."""
BRUSH = f"rgba(255, 59, 48, {BRUSH_ALPHA})"
STYLE = """
#samples .caption-label { display: none }
#samples .grid-container { grid-template-columns: repeat(5, minmax(0, 112px)) }
#samples .thumbnail-item { max-width: 100%; aspect-ratio: 3 / 2 }
#samples .thumbnail-item img { height: 100%; object-fit: cover }
.dark #composite:has(.empty) canvas { opacity: 0.12 }
.dark #composite .empty, .dark #composite .empty * { color: var(--body-text-color) }
@media (max-width: 640px) {
  #harmonize { position: fixed; left: 16px; right: 16px; bottom: 8px; width: auto; z-index: 50 }
  .gradio-container { padding-bottom: 64px }
  #choices input { font-size: 13px }
  #choices .icon-wrap { right: 2px }
}
"""
"""The names of samples are their alternative texts; on a phone the button stays at the lower edge."""
TO_RESULT = """() => {
  const result = document.querySelector('#result');
  if (window.innerWidth <= 640) result.scrollIntoView({ behavior: 'smooth', block: 'center' });
}"""
"""On a phone the result is below the screen."""
SCRIPT = """() => {
  const texts = { mask: ['the mask'], result: ['before', 'after'] };
  const name = () => Object.entries(texts).forEach(([id, names]) =>
    document.querySelectorAll(`#${id} img`).forEach((image, k) => { image.alt ||= names[k % names.length]; }));
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
}"""
"""Gives Gradio's pictures the alternative texts for which its components have no argument."""
