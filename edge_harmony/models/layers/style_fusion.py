"""External style fusion (Liang & Pun, "Image Harmonization with Region-wise Contrastive Learning", 2022)."""

from __future__ import annotations

from torch import Tensor

from edge_harmony.models.layers.rain import RegionNorm


class StyleFusion(RegionNorm):
    """Give the decoder's foreground the statistics of the *encoder's* background at the same scale.

    RAIN takes the style from the decoder's own background, which the decoder has already changed. Here the style comes
    from the encoder. With ``e`` the encoder's feature::

        foreground: [(x - mu_f(x)) / s_f(x) * s_b(e) + mu_b(e)] (1 + gamma_f) + beta_f
        background:  (x - mu_b(x)) / s_b(x)                     (1 + gamma_b) + beta_b

    The paper's abstract says only that the external background is the style reference. Masked means and deviations per
    channel, as in RAIN, are our choice.
    """

    def forward(self, x: Tensor, mask: Tensor, reference: Tensor) -> Tensor:
        """Restyle ``x`` ``(N, C, H, W)`` by ``reference`` like ``x``, under ``mask`` ``(N, 1, H', W')`` in [0, 1]."""
        return self.restyle(x, mask, reference)
