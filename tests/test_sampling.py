"""Random draws: the normal law, independence and reproducible streams.

Seeds are fixed and thresholds lie at p ≈ 1e-9, so that a failure is a bug and not bad luck.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from bnstats.layers import LAYERS, STANDARD, Event, Input, Law
from bnstats.sampling import Normals, block_draws, blocks, chunk_draws, stream
from bnstats.spec import parse

SIGMAS = 6.2  # two-sided p of 6e-10
DTYPES = ("float64", "float32")
N = 4_000_000

dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(scope="module", params=DTYPES)
def normals(request):
    """Four million normals as float64, drawn in blocks as a run draws them."""
    generator = stream(0, "relu", 0)
    source = Normals(2**15, request.param)
    parts = [source.draw(generator, 2**15).astype(float) for _ in range(N // 2**15)]
    return np.concatenate(parts)


def draws_of(spec: str, n: int, *, seed: int = 0, chunk: int = 0, law: Law = STANDARD,
             dtype: str = "float64") -> dict[str, np.ndarray]:  # fmt: skip
    parsed = parse(spec)
    parts = [
        {k: v.copy() for k, v in block.items()}
        for block in blocks(parsed.event, stream(seed, parsed.text, chunk), n, law, dtype)
    ]
    return {k: np.concatenate([p[k] for p in parts], axis=-1) for k in parts[0]}


# --- the normal law ---------------------------------------------------------------------------


@pytest.mark.parametrize("power", range(1, 9))
def test_moments_one_to_eight(normals, power):
    true = special.factorial2(power - 1) if power % 2 == 0 else 0.0
    variance = special.factorial2(2 * power - 1) - true**2
    z = (np.mean(normals**power) - true) / math.sqrt(variance / normals.size)
    assert abs(z) < SIGMAS


def test_kolmogorov_distance(normals):
    cdf = np.sort(special.ndtr(normals))
    n = cdf.size
    ranks = np.arange(n) / n
    distance = max(np.max(cdf - ranks), np.max(ranks + 1 / n - cdf))
    assert special.kolmogorov(distance * math.sqrt(n)) > 1e-9


def test_counts_in_equal_cells(normals):
    counts = np.bincount((special.ndtr(normals) * 1000).astype(int), minlength=1000)
    chi2 = np.sum((counts - normals.size / 1000) ** 2) / (normals.size / 1000)
    assert 1e-9 < stats.chi2.sf(chi2, 999) < 1 - 1e-9


@pytest.mark.parametrize("threshold", [1.0, 3.0, 4.0, 4.5])
def test_tails_of_both_signs(normals, threshold):
    p = special.ndtr(-threshold)
    for sign in (1, -1):
        count = int(np.sum(sign * normals > threshold))
        assert stats.binom.sf(count - 1, normals.size, p) > 1e-9
        assert stats.binom.cdf(count, normals.size, p) > 1e-9


@dtypes
def test_the_tail_beyond_five_sigma_exists(dtype):
    n, extremes = 24_000_000, []
    generator, source = stream(1, "relu", 0), Normals(2**16, dtype)
    for _ in range(n // 2**16):
        z = source.draw(generator, 2**16)
        extremes.append(z[np.abs(z) > 4.8].astype(float))
    values = np.concatenate(extremes)
    n = n // 2**16 * 2**16
    for threshold in (4.8, 5.0, 5.3):
        for sign in (1, -1):
            count = int(np.sum(sign * values > threshold))
            p = special.ndtr(-threshold)
            assert stats.binom.sf(count - 1, n, p) > 1e-9, (threshold, count, n * p)
            assert stats.binom.cdf(count, n, p) > 1e-9, (threshold, count, n * p)
    # 24-bit uniforms end at 5.77; 53 bits reach 8.6, but one draw in 1e8 lies beyond 5.7
    assert np.max(np.abs(values)) < 7.5
    assert np.all(np.isfinite(values))


def test_float32_draws_are_the_float64_draws_rounded():
    single, double = (draws_of("relu", 50_000, dtype=d) for d in ("float32", "float64"))
    for name in ("x", "dy"):
        assert single[name].dtype == np.float32
        error = np.abs(single[name] - double[name])
        assert np.max(error) < 3e-4  # the radius √(−2·log u) where u rounds to one
        assert np.mean(error) < 2e-7


class Ends:
    """A generator at the ends of its range: 0 and the largest float64 below 1."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self, out: np.ndarray) -> None:
        out[:] = self.value


@dtypes
@pytest.mark.parametrize("value", [0.0, 0.5, 1 - 2.0**-53, 2.0**-53])
def test_the_ends_of_the_uniforms_give_finite_normals(dtype, value):
    z = Normals(6, dtype).draw(Ends(value), 6)
    assert np.isfinite(z).all()
    assert np.all(np.abs(z) < 9)


def test_box_muller_by_hand():
    class Fixed:
        def __init__(self) -> None:
            self.values = iter([[0.3, 0.9], [0.1, 0.8]])

        def random(self, out: np.ndarray) -> None:
            out[:] = next(self.values)

    radius = np.sqrt(-2 * np.log([0.7, 0.1]))
    angle = 2 * math.pi * (np.array([0.1, 0.8]) - 0.5)
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)])
    for dtype, rel in (("float64", 1e-12), ("float32", 1e-5)):
        assert Normals(4, dtype).draw(Fixed(), 4) == pytest.approx(pairs.ravel(), rel=rel)


# --- independence -----------------------------------------------------------------------------


def correlations(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Return z values of correlations between values, signs, squares and sizes."""
    z = []
    for f in (lambda v: v, np.sign, np.square, np.abs):
        for g in (lambda v: v, np.square):
            u, v = f(a) - np.mean(f(a)), g(b) - np.mean(g(b))
            z.append(float(np.mean(u * v) / np.std(u) / np.std(v) * math.sqrt(a.size)))
    return z


def test_the_two_outputs_of_a_pair_are_independent(normals):
    blocks_of_pairs = normals.reshape(-1, 2, 2**14)
    cosines, sines = blocks_of_pairs[:, 0].ravel(), blocks_of_pairs[:, 1].ravel()
    assert max(map(abs, correlations(cosines, sines))) < SIGMAS


@pytest.mark.parametrize("lag", [1, 2, 3, 2**14 - 1, 2**14, 2**14 + 1, 2**15])
def test_normals_at_a_lag_are_independent(normals, lag):
    assert max(map(abs, correlations(normals[:-lag], normals[lag:]))) < SIGMAS


@dtypes
def test_x_and_dy_are_independent(dtype):
    draws = draws_of("relu", 400_000, dtype=dtype)
    assert max(map(abs, correlations(draws["x"], draws["dy"]))) < SIGMAS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"chunk": 0}, {"chunk": 1}),
        ({"seed": 0}, {"seed": 1}),
        ({"seed": 0, "chunk": 1}, {"seed": 1, "chunk": 0}),
        ({"spec": "relu"}, {"spec": "sigmoid"}),
        ({"spec": "elu"}, {"spec": "elu:alpha=2"}),
    ],
    ids=["chunks", "seeds", "seed-and-chunk", "layers", "parameters"],
)
def test_streams_are_independent(one, other):
    a, b = (draws_of(**{"spec": "relu", "n": 200_000, **kw}) for kw in (one, other))
    for first in ("x", "dy"):
        for second in ("x", "dy"):
            assert max(map(abs, correlations(a[first], b[second]))) < SIGMAS


def test_elements_of_one_event_are_independent():
    draws = draws_of("max_pool2d:kernel_size=3,stride=2", 30_000)
    elements = np.concatenate([draws["x"].reshape(-1, 30_000), draws["dy"].reshape(-1, 30_000)])
    matrix = np.corrcoef(elements) * math.sqrt(30_000)
    np.fill_diagonal(matrix, 0)
    assert np.max(np.abs(matrix)) < SIGMAS


# --- streams ----------------------------------------------------------------------------------


def test_a_stream_is_fixed_by_seed_layer_and_chunk():
    def first(seed: int, spec: str, chunk: int) -> float:
        return stream(seed, spec, chunk).random()

    assert first(3, "relu", 5) == first(3, "relu", 5)
    others = [first(3, "relu", 6), first(4, "relu", 5), first(3, "elu", 5), first(3, "relu ", 5)]
    assert len({first(3, "relu", 5), *others}) == 5


KNOWN_UNIFORMS = [0.127190365178107, 0.7953101515112683]
KNOWN_X = [-0.4659828118686734, 1.6298823779659841, -0.7139929044381254]
KNOWN_DY = [0.23438351079167916, 0.63427777214858, 0.44464724454726196]
KNOWN_MASK = [0.6908333037706804, 0.0431148114746871]


def test_known_answers():
    # uniforms are bit-exact on every machine; normals pass through log, sqrt and tan
    uniforms = [stream(0, "relu", 0).random(), stream(2**70, "sigmoid", 10**9).random()]
    assert uniforms == KNOWN_UNIFORMS
    draws = draws_of("relu", 3)
    assert draws["x"] == pytest.approx(KNOWN_X, rel=1e-12)
    assert draws["dy"] == pytest.approx(KNOWN_DY, rel=1e-12)
    assert draws_of("dropout", 2)["mask"] == pytest.approx(KNOWN_MASK, rel=1e-15)


# --- blocks -----------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("spec", ["relu", "dropout", "max_pool2d:kernel_size=3,stride=2", "linear"])
def test_blocks_have_the_events_shapes(spec, dtype):
    event = parse(spec).event
    size = block_draws(event)
    wanted = 2 * size + 3
    lengths = []
    for block in blocks(event, stream(0, spec, 0), wanted, STANDARD, dtype):
        assert set(block) == set(event.inputs)
        lengths.append(block["x"].shape[-1])
        for name, array in block.items():
            assert array.shape == (*event.inputs[name].shape, lengths[-1])
            assert array.dtype == dtype
    assert lengths == [size, size, 3]


def test_a_chunk_is_a_whole_number_of_blocks():
    for name in LAYERS:
        layer = LAYERS[name]
        if any(p.required for p in layer.parameters):
            continue
        event = parse(name).event
        assert chunk_draws(event) % block_draws(event) == 0


def test_an_event_larger_than_a_block_is_drawn_one_at_a_time():
    event = Event({"x": Input((300, 300)), "dy": Input((2,))}, None, None)  # type: ignore[arg-type]
    assert block_draws(event) == 1
    sizes = [b["x"].shape for b in blocks(event, stream(0, "big", 0), 3, STANDARD, "float64")]
    assert sizes == [(300, 300, 1)] * 3


@dtypes
def test_masks_are_uniform(dtype):
    mask = draws_of("dropout", 300_000, dtype=dtype)["mask"].astype(float)
    assert mask.min() >= 0
    counts = np.bincount(np.minimum((mask * 256).astype(int), 255), minlength=256)
    chi2 = np.sum((counts - mask.size / 256) ** 2) / (mask.size / 256)
    assert 1e-9 < stats.chi2.sf(chi2, 255) < 1 - 1e-9


@dtypes
def test_the_law_shifts_and_scales(dtype):
    law = Law(0.7, 1.3, 2.0)
    for spec in ("relu", "dropout", "linear"):
        plain, scaled = (
            draws_of(spec, 5000, dtype=dtype),
            draws_of(spec, 5000, law=law, dtype=dtype),
        )
        rel = 1e-12 if dtype == "float64" else 1e-5
        assert scaled["x"] == pytest.approx(0.7 + 1.3 * plain["x"], rel=rel, abs=rel)
        assert scaled["dy"] == pytest.approx(2.0 * plain["dy"], rel=rel)
        for name in set(plain) - {"x", "dy"}:
            np.testing.assert_array_equal(plain[name], scaled[name])
