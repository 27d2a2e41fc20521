"""Random draws: the normal law, independence and reproducible streams.

Seeds are fixed and thresholds lie at p ≈ 1e-9, so that a failure is a bug and not bad luck.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from bnstats.layers import LAYERS, STANDARD, BoundLayer, Input, Law
from bnstats.sampling import iid as sampling
from bnstats.sampling.iid import (
    Normals,
    block_draws,
    chunk_draws,
    iid_blocks,
    stream,
)
from bnstats.sampling.layout import Chunk
from bnstats.sampling.settings import DType, Sampling
from bnstats.specs.spec import Spec, parse

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
             dtype: DType = "float64") -> dict[str, np.ndarray]:  # fmt: skip
    how = Sampling(seed=seed, law=law, dtype=dtype)
    parts = [
        {k: v.copy() for k, v in block.draws.items()}
        for block in iid_blocks(parse(spec), how, Chunk(chunk, 0, n))
    ]
    return {k: np.concatenate([p[k] for p in parts], axis=-1) for k in parts[0]}


# --- the normal law ---------------------------------------------------------------------------


def test_moments_one_to_eight(normals):
    powered = np.ones_like(normals)
    for power in range(1, 9):
        powered *= normals
        true = special.factorial2(power - 1) if power % 2 == 0 else 0.0
        variance = special.factorial2(2 * power - 1) - true**2
        z = (np.mean(powered) - true) / math.sqrt(variance / normals.size)
        assert abs(z) < SIGMAS, power


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
    # 24-bit uniforms end at 5.77; ours reach 9.8, but one draw in 1e8 lies beyond 5.7
    assert np.max(np.abs(values)) < 7.5
    assert np.all(np.isfinite(values))


ROW = sampling._SHIFTS


class Given:
    """A generator of given numbers: cells and angles of 16 bits, a shift in (0, 1) each, a phase.

    It serves one row of pairs, the first of them these; the rest repeat them.
    """

    def __init__(self, cells, angles, shifts, turns=(0.0,), phase=0.5):
        self.bits = np.resize(cells, ROW), np.resize(angles, ROW)
        self.shifts = np.array([np.resize(shifts, ROW), np.resize(turns, ROW)], float)
        self.phase = phase

    @property
    def bit_generator(self):
        return self

    def random_raw(self, size):
        assert size == ROW // 2
        return np.concatenate(self.bits).astype(np.uint16).view(np.uint64)

    def random(self, size=None):
        assert size in (None, (2, ROW))
        return self.phase if size is None else self.shifts.copy()


def pairs_from(given: Given, dtype: DType, count: int) -> np.ndarray:
    """Return the first pairs of a draw: (2, count)."""
    z = Normals(2 * ROW, dtype).draw(given, 2 * ROW)
    assert z.dtype == dtype
    return z.reshape(2, ROW)[:, :count].astype(float)


def polar(cells, angles, shifts, turns, phase) -> np.ndarray:
    """Box-Muller in float64, one pair at a time."""
    pairs = []
    for cell, angle, shift, turn in zip(cells, angles, shifts, turns, strict=True):
        radius = math.sqrt(-2 * math.log((cell + shift) / 2**16))
        signed = angle - 2**16 if angle >= 2**15 else angle
        theta = 2 * math.pi * ((signed + turn) / 2**16 + phase - 0.5)
        pairs.append((radius * math.cos(theta), radius * math.sin(theta)))
    return np.array(pairs).T


@dtypes
@pytest.mark.parametrize("phase", [0.5, 0.1, 0.93])
def test_box_muller_by_hand(dtype, phase):
    cells, angles = [2**15, 1, 40_000, 2**16 - 200], [1500, 2**15, 2**16 - 7, 40_000]
    shifts, turns = [0.5, 0.001, 0.25, 0.75], [0.0, 0.3, 0.9, 0.5]
    z = pairs_from(Given(cells, angles, shifts, turns, phase), dtype, 4)
    # A shift of the angle by 0.3 of its step moves a normal by 3e-5.
    assert z == pytest.approx(polar(cells, angles, shifts, turns, phase), abs=2e-6)


@dtypes
def test_the_outermost_cell_is_as_fine_as_its_shift(dtype):
    cells, angles, shifts = [0, 0, 0, 1], [0, 0, 2**14, 0], [2.0**-20, 0.0, 0.25, 2.0**-10]
    z = pairs_from(Given(cells, angles, shifts), dtype, 4)
    u = [2.0**-36, 2.0**-70, 2.0**-18, (1 + 2.0**-10) / 2**16]
    radii = [math.sqrt(-2 * math.log(v)) for v in u]
    assert np.hypot(*z) == pytest.approx(radii, rel=1e-6)


@dtypes
@pytest.mark.parametrize("cell", [0, 2**16 - 1])
@pytest.mark.parametrize("shift", [0.0, 1 - 2.0**-53])
def test_the_ends_of_the_uniforms_give_finite_normals(dtype, cell, shift):
    z = pairs_from(Given([cell] * 4, [0, 2**15, 2**16 - 1, 5], [shift] * 4), dtype, 4)
    assert np.isfinite(z).all()
    assert np.all(np.abs(z) < 10)


class Recorder:
    """A generator that remembers what it gave last."""

    def __init__(self, generator):
        self.generator = generator

    @property
    def bit_generator(self):
        return self

    def random_raw(self, size):
        self.words = self.generator.bit_generator.random_raw(size)
        return self.words

    def random(self, size=None):
        given = self.generator.random(size)
        if size:
            self.shifts = given.copy()
        else:
            self.phase = given
        return given


def test_float32_arithmetic_does_not_bias_the_normals():
    """The same integers through float64 arithmetic: what differs is rounding, and averages out."""
    recorder, n = Recorder(stream(0, "relu", 0)), 65 * ROW
    source, blocks = Normals(2 * n, "float64"), 40
    functions = (lambda x: x, np.square, lambda x: x**4, lambda x: np.maximum(x, 0), np.tanh,
                 lambda x: np.maximum(x, 0) ** 2, lambda x: np.exp(2 * x))  # fmt: skip
    differences, sizes = np.zeros(len(functions)), np.zeros(len(functions))
    for _ in range(blocks):
        ours = source.draw(recorder, 2 * n)
        bits = recorder.words.view(np.uint16)
        cells = bits[:n].astype(float).reshape(-1, ROW) + recorder.shifts[0]
        radius = np.sqrt(-2 * np.log(cells.ravel() / 2**16))
        steps = bits[n:].astype(np.int16).reshape(-1, ROW) + recorder.shifts[1]
        theta = 2 * math.pi * (steps.ravel() / 2**16 + recorder.phase - 0.5)
        exact = np.concatenate([radius * np.cos(theta), radius * np.sin(theta)])
        # Three times an angle of up to 2π is rounded, each time by at most half of 4.8e-7.
        assert np.sqrt(np.mean((ours - exact) ** 2)) < 5e-7
        for i, f in enumerate(functions):
            differences[i] += np.sum(f(ours) - f(exact))
            sizes[i] += np.sum(np.abs(f(exact)))
    assert np.max(np.abs(differences / sizes)) < 1e-8, differences / sizes


@pytest.mark.parametrize(
    ("mean_at_radius", "mean", "variance", "bar"),
    [
        (lambda r: r**2 / 2, 1.0, 2.0, 2e-7),
        (lambda r: 3 / 8 * r**4, 3.0, 96.0, 2e-6),
        (lambda r: special.i0(2 * r), math.exp(2), math.exp(8) - math.exp(4), 3e-5),
        (lambda r: 1.0 * (r**2 > 24), math.exp(-12), math.exp(-12), 1e-3),
    ],
    ids=["x²", "x⁴", "e^2x", "r²>24"],
)
def test_shared_shifts_neither_bias_nor_correlate(mean_at_radius, mean, variance, bar):
    """Over the law of a shift, by quadrature: means are exact, and variances rise by little."""
    t, weights = np.polynomial.legendre.leggauss(40)
    t, weights = (t + 1) / 2, weights / 2
    shifts, weights = t**6, weights * 6 * t**5  # the logarithm's singularity at 0 resolved
    at_shift = np.array([
        mean_at_radius(np.sqrt(-2 * np.log((np.arange(2**16) + shift) / 2**16))).mean()
        for shift in shifts
    ])  # fmt: skip
    assert weights @ at_shift == pytest.approx(mean, rel=1e-10 if bar < 1e-4 else 0.1)
    shared = sampling._BLOCK_NUMBERS / 2 / ROW  # pairs that move with a given one
    assert shared * (weights @ (at_shift - mean) ** 2) / variance < bar


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bound", "p"),
    [
        (lambda x, dy: x * x + dy * dy > 24, math.exp(-12)),  # inside the outermost cell
        (lambda x, dy: np.abs(x) < 2e-5, special.erf(2e-5 / math.sqrt(2))),  # inside a step of θ
        (lambda x, dy: np.abs(dy) < 2e-5, special.erf(2e-5 / math.sqrt(2))),
    ],
    ids=["radius", "x", "dy"],
)
def test_rare_events_scatter_as_if_independent(bound, p):
    """A shift shared by a whole block would make the variance 1.6 or 2 times that of Poisson's."""
    n, blocks = 65 * ROW, 2500
    generator, source = stream(0, "tanh", 0), Normals(2 * n, "float32")
    draws = (source.draw(generator, 2 * n).reshape(2, n) for _ in range(blocks))
    counts = [np.count_nonzero(bound(*block)) for block in draws]
    mean = n * p
    assert np.mean(counts) == pytest.approx(mean, abs=SIGMAS * math.sqrt(mean / blocks))
    error = math.sqrt((2 + 1 / mean) / blocks)  # of a Poisson variance, by its own
    assert np.var(counts) / mean == pytest.approx(1, abs=SIGMAS * error)


def test_elements_of_a_draw_have_shifts_of_their_own():
    """They lie a block's draws apart, a power of two: a row of a power of two would align them."""
    for text in ("group_norm", "softmax:n=10", "max_pool2d:kernel_size=3,stride=2"):
        bound = parse(text).bound
        starts = block_draws(bound) * np.arange(bound.numbers // 2)
        assert len(set(starts % ROW)) == len(starts), text


# --- independence -----------------------------------------------------------------------------


def standardised(v: np.ndarray) -> np.ndarray:
    v = v - np.mean(v)
    return v / math.sqrt(v @ v / v.size)


def correlations(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Return z values of correlations between values, signs, squares and sizes."""
    ones = [standardised(f(a)) for f in (np.positive, np.sign, np.square, np.abs)]
    others = [standardised(g(b)) for g in (np.positive, np.square)]
    return [float(u @ v / math.sqrt(a.size)) for u in ones for v in others]


def test_the_two_outputs_of_a_pair_are_independent(normals):
    blocks_of_pairs = normals.reshape(-1, 2, 2**14)
    cosines, sines = blocks_of_pairs[:, 0].ravel(), blocks_of_pairs[:, 1].ravel()
    assert max(map(abs, correlations(cosines, sines))) < SIGMAS


@pytest.mark.slow
@pytest.mark.parametrize("lag", [1, 2, 3, ROW, 2 * ROW, 2**14 - 1, 2**14, 2**14 + 1, 2**15])
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
KNOWN_X = [-0.16499753550119167, -0.6230532235424457, -0.9944176954745436]
KNOWN_DY = [-1.1779682526034068, -1.7311625134811865, -0.18243319364660246]
KNOWN_MASK = [0.19557776762456613, 0.8148048094569499]


def test_known_answers():
    # uniforms are bit-exact on every machine; normals pass through float32 functions
    uniforms = [stream(0, "relu", 0).random(), stream(2**70, "sigmoid", 10**9).random()]
    assert uniforms == KNOWN_UNIFORMS
    draws = draws_of("relu", 3)
    assert draws["x"] == pytest.approx(KNOWN_X, rel=1e-5)
    assert draws["dy"] == pytest.approx(KNOWN_DY, rel=1e-5)
    assert draws_of("dropout", 2)["mask"] == pytest.approx(KNOWN_MASK, rel=1e-15)


# --- blocks -----------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("spec", ["relu", "dropout", "max_pool2d:kernel_size=3,stride=2", "linear"])
def test_blocks_have_the_events_shapes(spec, dtype):
    bound = parse(spec).bound
    size = block_draws(bound)
    wanted = 2 * size + 3
    lengths = []
    blocks = iid_blocks(parse(spec), Sampling(dtype=dtype), Chunk(0, 0, wanted))
    for draws, directions, weights in blocks:
        assert directions == ("y", "dx")
        assert weights is None
        assert set(draws) == set(bound.inputs)
        lengths.append(draws["x"].shape[-1])
        for name, array in draws.items():
            assert array.shape == (*bound.inputs[name].shape, lengths[-1])
            assert array.dtype == dtype
    assert lengths == [size, size, 3]


def test_a_chunk_is_a_whole_number_of_blocks():
    for name in LAYERS:
        layer = LAYERS[name]
        if any(p.required for p in layer.parameters):
            continue
        bound = parse(name).bound
        assert chunk_draws(bound) % block_draws(bound) == 0


def test_an_event_larger_than_a_block_is_drawn_one_at_a_time():
    bound = BoundLayer({"x": Input((300, 300)), "dy": Input((2,))}, None, None)  # type: ignore[arg-type]
    assert block_draws(bound) == 1
    blocks = iid_blocks(Spec("big", LAYERS["relu"], bound), Sampling(), Chunk(0, 0, 3))
    sizes = [b.draws["x"].shape for b in blocks]
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
