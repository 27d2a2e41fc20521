"""Attention: a mean of values, weighted by the softmax of products of a query with the keys."""

from __future__ import annotations

import math
from typing import Literal

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import NO_SUM, UNKNOWN, ExactMoments, Known
from bnstats.layers._parameters import Elements, Width
from bnstats.layers._registry import structured


@structured(
    "y_i = Σ_j p_ij·v_j,  p_i = softmax over j of q_i·k_j/√d,  x = (q, k, v)",
    "dv_j = Σ_i p_ij·dy_i;  dq_i = Σ_j s_ij·k_j/√d,  dk_j = Σ_i s_ij·q_i/√d,  "
    "s_ij = p_ij·dy_i·(v_j − y_i)",
    cite="arXiv:1706.03762",
    aliases=("jax.dot_product_attention", "flax.dot_product_attention"),
    examples=("", "gradient=query", "gradient=key", "gradient=value", "is_causal=true"),
)
def scaled_dot_product_attention(
    *,
    length: Elements = 16,
    head_dim: Width = 16,
    is_causal: bool = False,
    gradient: Literal["all", "query", "key", "value"] = "all",
) -> BoundLayer:
    """One head over one sequence; dx is that of all three inputs, or of the one named."""
    n, d = length, head_dim
    scale = 1 / math.sqrt(d)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        q, k, v = draws["x"][0], draws["x"][1], draws["x"][2]

        def weights_of(i: int) -> Array:
            """Return p_ij of one i, the keys on the first axis; a later key has none."""
            seen = i + 1 if is_causal else n
            logits = scale * xp.sum(q[i][None] * k[:seen], axis=1)
            e = xp.exp(logits - xp.max(logits, axis=0, keepdims=True))
            return e / xp.sum(e, axis=0, keepdims=True)

        p = [weights_of(i) for i in range(n)]
        y = xp.stack([xp.sum(w[:, None] * v[: w.shape[0]], axis=0) for w in p])

        def backward(dy: Array) -> Array:
            dk, dv, dq = xp.zeros_like(k), xp.zeros_like(v), []
            for i, w in enumerate(p):
                seen = slice(0, w.shape[0])
                s = scale * w * xp.sum(dy[i][None] * (v[seen] - y[i][None]), axis=1)
                dq.append(xp.sum(s[:, None] * k[seen], axis=0))
                dk = xp.add_at(dk, seen, s[:, None] * q[i][None])
                dv = xp.add_at(dv, seen, w[:, None] * dy[i][None])
            found = {"query": xp.stack(dq), "key": dk, "value": dv}
            return xp.stack([*found.values()] if gradient == "all" else [found[gradient]])

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # The weights sum to one and do not depend on the values; Σ_j s_ij is 0.
        mean_dx = NO_SUM if gradient == "key" else UNKNOWN
        return ExactMoments(mean_y=Known(law.x_mean), mean_dx=mean_dx)

    why = "the weights are those of products of normal numbers"
    return BoundLayer(
        {"x": Input((3, n, d)), "dy": Input((n, d))}, forward, moments, why_inexact=why
    )
